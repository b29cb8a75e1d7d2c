"""The user's own part of a traceback."""

from __future__ import annotations

import traceback

from flyteform.authoring.places import is_ours


def user_traceback(error: BaseException) -> str:
    """Return a formatted traceback, with its causes, from which the frames of this package are left out."""
    whole = traceback.TracebackException.from_exception(error)
    _trim(whole, set())
    return "".join(whole.format()).rstrip("\n")


def _trim(part: traceback.TracebackException, seen: set[int]) -> None:
    if id(part) in seen:
        return
    seen.add(id(part))
    kept = [frame for frame in part.stack if not is_ours(frame.filename) and not frame.filename.startswith("<frozen")]
    part.stack = traceback.StackSummary.from_list(kept)
    for other in (part.__cause__, part.__context__, *(part.exceptions or ())):
        if other is not None:
            _trim(other, seen)
