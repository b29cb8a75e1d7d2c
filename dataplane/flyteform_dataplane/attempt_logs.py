"""What attempts print, kept in a file for each."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from flyteform.proto.flyteform.v1.link_pb2 import TailLogs

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def attempt_of(question: TailLogs) -> str:
    """Return the name of the attempt that a question is about."""
    execution = question.execution
    item = [str(question.item)] if question.HasField("item") else []
    parts = (execution.project, execution.domain, execution.name, question.node_id, *item, str(question.retry_attempt))
    return "/".join(parts)


def log_path(folder: Path, name: str) -> Path:
    """Return where the attempt's output is kept below a folder: the parts of its name are folders too."""
    parts = [_UNSAFE.sub("_", part).lstrip(".") or "_" for part in name.split("/")]
    return folder.joinpath(*parts[:-1], f"{parts[-1]}.log")


def write_note(log: Path, text: str) -> None:
    """Add a line of the platform's own to an attempt's log."""
    write_line(log, f"[flyteform] {text}")


def write_line(log: Path, text: str) -> None:
    """Add a line to an attempt's log; a log that cannot be written stops nothing."""
    with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")
