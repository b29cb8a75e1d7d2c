"""Runs the measurements that are named, or all of them: `python -m benchmarks [engine] [embedded] …`."""

from __future__ import annotations

import sys
from importlib import import_module

NAMES = ("local_run", "engine", "embedded", "controlplane", "provision", "pulumi", "kubernetes", "previews", "platform")


def main() -> int:
    """Run them one after the other, so that none disturbs another."""
    # What follows a name with dashes is an option of that measurement, which reads it itself.
    wanted = [word for word in sys.argv[1:] if not word.startswith("--")] or NAMES
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        print(f"no such measurement: {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 1
    for name in wanted:
        import_module(f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
