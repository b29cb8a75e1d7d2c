"""The settings that production needs, as tables: cloud, resource, setting, and where it is asserted, all in one row.

A golden file alone only freezes what was written; a row says what has to be there, and fails without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.recording.graph import Graph, Resource


@dataclass(frozen=True)
class Row:
    """One setting of one resource.

    `token` is a type (`s3/bucketVersioning:BucketVersioning`), `name` a resource's where one is meant (else every one
    of the type has to have the setting, and there has to be one), `setting` the path of the input. `expected` is its
    value or a rule that a value has to meet. For options write `protect` or `ignoreChanges` as the setting; `secret`
    asks that the input is encrypted in the state.
    """

    token: str
    setting: str
    expected: Any = True
    name: str = ""
    secret: bool = False

    def __str__(self) -> str:
        wanted = self.expected.__name__ if callable(self.expected) else self.expected
        return f"{self.token} {self.name or '*'}: {self.setting} = {wanted}"


def holds(graph: Graph, row: Row) -> None:
    """Fail unless the recording has what the row says."""
    found = [each for each in graph.of(row.token) if not row.name or each.name == row.name]
    assert found, f"{graph.cloud}/{graph.stack} has no {row.token} {row.name}"
    for each in found:
        _holds(each, row)


def _holds(resource: Resource, row: Row) -> None:
    value = resource.options.get(row.setting) if row.setting in _OPTIONS else resource.at(row.setting)
    expected: Callable[[Any], bool] | Any = row.expected
    right = expected(value) if callable(expected) else value == expected
    assert right, f"{resource.short}: {row} is {value!r}"
    if row.secret:
        assert resource.is_secret(row.setting), f"{resource.short}: {row.setting} is not secret"


_OPTIONS = frozenset({"protect", "ignoreChanges", "retainOnDelete", "dependencies", "deletedWith"})
