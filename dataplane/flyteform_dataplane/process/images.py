"""Which interpreter stands for an image, and which program for a command, on a machine without containers."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from flyteform.errors import InvalidInputError
from flyteform_dataplane.process.template.entries import EXEC

if TYPE_CHECKING:
    from collections.abc import Sequence

# Commands whose program a template process has imported already, and what it imports for them.
ENTRY_POINTS = {
    "flyteform-execute": "flyteform",
    "pyflyte-execute": "flytekit",
    "pyflyte-fast-execute": "flytekit",
    "pyflyte-map-execute": "flytekit",
}

# What an interpreter or an import reads once, at its start: an attempt that sets one needs a start of its own.
_READ_AT_START = ("LD_", "PYTHON", "FLYTE_SDK_", "MALLOC_", "GLIBC_TUNABLES")
_HARMLESS = ("PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True, slots=True)
class ImageRule:
    """Images whose name matches the pattern (`*`, `?`, `[…]`) run with this interpreter."""

    pattern: str
    python: Path


class ImageTable:
    """The rules in the order in which they were given; the first that matches counts, the default for the rest."""

    def __init__(self, rules: Sequence[ImageRule], default: Path) -> None:
        self._rules = tuple(rules)
        self.default = default

    def interpreter(self, image: str) -> Path:
        """Return the interpreter that stands for the image."""
        return next((rule.python for rule in self._rules if fnmatchcase(image, rule.pattern)), self.default)


def parse_rule(text: str) -> ImageRule:
    """Read `PATTERN=PYTHON`, where PYTHON is an interpreter or the folder of a virtual environment.

    Raises `InvalidInputError` if it has another form or there is no such interpreter.
    """
    pattern, separator, given = text.partition("=")
    if not (pattern and separator and given):
        raise InvalidInputError(
            f"--image {text!r} is not of the form PATTERN=PYTHON",
            remedy="Write for example --image 'ghcr.io/flyteorg/*=/opt/flytekit/bin/python'",
        )
    expanded = os.path.expanduser(given)  # noqa: PTH111 - pathlib's raises when there is no such user
    python = Path(expanded).absolute()  # not resolved: a link in a virtual environment says which it is
    if python.is_dir():
        python = python / "bin" / "python"
    if not os.access(python, os.X_OK) or python.is_dir():
        raise InvalidInputError(
            f"--image {text!r}: there is no Python interpreter at {python}",
            remedy="Name an interpreter or the folder of a virtual environment",
        )
    return ImageRule(pattern, python)


def find_program(command: str, python: Path, search: str) -> Path | None:
    """Return the program that the command names: beside the interpreter, else on the path `search`."""
    if os.sep in command:
        return Path(command) if os.access(command, os.X_OK) else None
    found = shutil.which(command, path=str(python.parent)) or shutil.which(command, path=search)
    return Path(found) if found else None


def entry_of(command: Sequence[str], environment: Sequence[str]) -> str:
    """Return what a template has to have imported to run this command by a fork, or `EXEC`."""
    cold = any(name.startswith(_READ_AT_START) and name not in _HARMLESS for name in environment)
    return EXEC if cold or not command else ENTRY_POINTS.get(Path(command[0]).name, EXEC)


def localise(command: Sequence[str]) -> tuple[str, ...]:
    """Return the command with what flytekit expects of a container put right for this machine.

    Code is unpacked into the attempt's own directory: flytekit registers an absolute folder of the image
    (`--dest-dir /root` by default), which here would be a folder of the user's machine that every attempt overwrites.
    Raw data is named by plain paths: flytekit, in tasks and in clients, takes a `file://` URI for no file at all.
    """
    program = Path(command[0]).name if command else ""
    if ENTRY_POINTS.get(program) != "flytekit":
        return tuple(command)
    localised = list(command)
    unpacking = command.index("--") if program == "pyflyte-fast-execute" and "--" in command else 0
    for index, (option, value) in enumerate(pairwise(command), start=1):
        if option == "--dest-dir" and value.startswith(("/", "~")) and index < unpacking:
            localised[index] = "."
        elif option == "--raw-output-data-prefix":
            localised[index] = value.removeprefix("file://")
    return tuple(localised)
