"""Where in the user's code something stands: `file.py:12`, as short as it can be."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep  # noqa: PTH100,PTH120 - pathlib is slow to load


def is_ours(filename: str) -> bool:
    """Tell whether a source file belongs to this package rather than to the user."""
    return filename.startswith(_PACKAGE)


def shown(filename: str) -> str:
    """Return the path as a person in the working directory would write it."""
    here = os.getcwd() + os.sep  # noqa: PTH109 - as above
    return filename.removeprefix(here)


def of_function(fn: Callable[..., Any]) -> str:
    """Return where a function is declared, its decorators included."""
    code = getattr(fn, "__code__", None)
    return f"{shown(code.co_filename)}:{code.co_firstlineno}" if code is not None else repr(fn)


def of_caller() -> str:
    """Return the line of the user's code that led here."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - inspect.stack reads source files, this does not
    while frame is not None and (is_ours(frame.f_code.co_filename) or _is_generated(frame)):
        frame = frame.f_back
    return f"{shown(frame.f_code.co_filename)}:{frame.f_lineno}" if frame is not None else "<unknown>"


def _is_generated(frame: FrameType) -> bool:
    """Tell whether this is the `__init__` of one of our dataclasses, which has no file."""
    return frame.f_code.co_filename == "<string>" and str(frame.f_globals.get("__name__")).startswith("flyteform.")
