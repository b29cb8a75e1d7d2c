"""Runs inside the stock client's environment: calls pyflyte commands one after the other in one interpreter.

Usage: pyflyte_commands.py COMMANDS    (JSON: a list of argument lists; in the current directory, as a user's shell)

The last line of its output is JSON: for each command its exit code and what it printed.
"""

from __future__ import annotations

import json
import sys

from click.testing import CliRunner
from flytekit.clis.sdk_in_container.pyflyte import main as pyflyte
from flytekit.core.context_manager import FlyteContextManager


def main() -> None:
    """Call each command with a fresh context, as a new process has it."""
    seen = []
    for arguments in json.loads(sys.argv[1]):
        FlyteContextManager.initialize()
        result = CliRunner().invoke(pyflyte, arguments)
        error = repr(result.exception) if result.exception and result.exit_code else ""
        seen.append({"code": result.exit_code, "text": result.output + error})
    sys.stdout.write("\n" + json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
