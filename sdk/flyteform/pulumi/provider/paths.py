"""Where in a resource's properties something lies, and where two trees of properties are not the same."""

from __future__ import annotations

import itertools
import json
import re
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Path = tuple[str | int, ...]

_PLAIN = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_STEP = re.compile(r'\.?([A-Za-z_$*][A-Za-z0-9_$*]*)|\["((?:[^"\\]|\\.)*)"\]|\[(\d+|\*)\]')


class Difference(Enum):
    """What became of one property."""

    ADDED = "added"
    DELETED = "deleted"
    UPDATED = "updated"


def path_text(path: Path) -> str:
    """Write a path as Pulumi does: `spec.nodes[0].id`, `labels["cost.center"]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{json.dumps(step, ensure_ascii=False)}]"
    return text


def parse_path(text: str) -> Path:
    """Read a path; `*` stands for every key or index."""
    steps: list[str | int] = []
    for plain, quoted, index in _STEP.findall(text):
        if index:
            steps.append(index if index == "*" else int(index))
        else:
            steps.append(plain or json.loads(f'"{quoted}"'))
    return tuple(steps)


def covers(pattern: Path, path: Path) -> bool:
    """Tell whether `path` is what the pattern names, or lies below it."""
    return len(pattern) <= len(path) and all(each in ("*", step) for each, step in zip(pattern, path, strict=False))


def differences(before: Any, after: Any, path: Path = ()) -> Iterator[tuple[Path, Difference]]:
    """Yield the deepest paths at which the trees differ, those of `after` in its order."""
    match before, after:
        case dict(), dict():
            yield from _of_items(before, after, dict.fromkeys((*after, *before)), path)
        case list(), list():
            old, new = dict(enumerate(before)), dict(enumerate(after))
            yield from _of_items(old, new, dict.fromkeys(itertools.chain(new, old)), path)
        case _ if before != after:
            yield path, Difference.UPDATED


def _of_items(
    before: dict[Any, Any], after: dict[Any, Any], keys: Iterable[str | int], path: Path
) -> Iterator[tuple[Path, Difference]]:
    for key in keys:
        if key not in before:
            yield (*path, key), Difference.ADDED
        elif key not in after:
            yield (*path, key), Difference.DELETED
        else:
            yield from differences(before[key], after[key], (*path, key))
