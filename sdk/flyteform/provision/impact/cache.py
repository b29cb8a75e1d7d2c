"""Which cached results of a task will no longer be found, and why.

Flyte keeps results by task name, cache version and a hash of the interface, descriptions included; the version of
the task does not count. So changed code goes on finding the results of the old code while the cache version stays.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from flyteidl.core.interface_pb2 import VariableMap

from flyteform.compiler import digest
from flyteform.provision.impact.facts import CacheDataset, Count
from flyteform.provision.impact.model import Impact, ImpactKind, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flyteidl.core.tasks_pb2 import TaskTemplate

    from flyteform.provision.impact.facts import Facts
    from flyteform.provision.model import Address

_HASH_CHARACTERS = 8


def dataset_of(address: Address, template: TaskTemplate) -> CacheDataset:
    """Return where the results of a task are kept, by the rule of FlytePropeller."""
    interface = template.interface
    parts = (
        template.metadata.discovery_version.strip(" "),
        _hash(interface.inputs if interface.HasField("inputs") else VariableMap()),
        _hash(interface.outputs if interface.HasField("outputs") else VariableMap()),
    )
    return CacheDataset(address.project, address.domain, f"flyte_task-{address.name}", "-".join(parts))


def judge_cache(
    before: Address, old: TaskTemplate, after: Address, new: TaskTemplate, facts: Facts
) -> Iterator[Impact]:
    """Yield what happens to the results of the old version; nothing for a task that is not cached, or is so anew."""
    if not old.metadata.discoverable:
        return
    dataset = dataset_of(before, old)
    count = facts.cached.get(dataset)
    reasons = _reasons(before, old, after, new)
    if reasons:
        severity = Severity.INFO if count == Count(0) else Severity.WARNING
        lost = "nothing is cached so far" if count == Count(0) else f"{_entries(count)} will no longer be found"
        message = f"{lost}: {', '.join(reasons)}"
        yield Impact(ImpactKind.CACHE, severity, message, _fields(dataset, count, reasons, hit=False))
    elif count != Count(0):
        message = f"{_entries(count)} will go on being found: cache version {old.metadata.discovery_version} stays"
        yield Impact(ImpactKind.CACHE, Severity.INFO, message, _fields(dataset, count, (), hit=True))


def _reasons(before: Address, old: TaskTemplate, after: Address, new: TaskTemplate) -> tuple[str, ...]:
    if not new.metadata.discoverable:
        return ("the task is no longer cached",)
    found = []
    if (before.project, before.domain, before.name) != (after.project, after.domain, after.name):
        found.append(f"the task is called {after.name} now")
    if old.metadata.discovery_version.strip(" ") != new.metadata.discovery_version.strip(" "):
        found.append(f"cache version {old.metadata.discovery_version} → {new.metadata.discovery_version}")
    for word, one, other in (
        ("inputs", old.interface.inputs, new.interface.inputs),
        ("outputs", old.interface.outputs, new.interface.outputs),
    ):
        if _hash(one) != _hash(other):
            found.append(f"{word} changed{_only_words(one, other)}")
    if set(old.metadata.cache_ignore_input_vars) != set(new.metadata.cache_ignore_input_vars):
        found.append("other inputs are ignored")
    return tuple(found)


def _only_words(one: VariableMap, other: VariableMap) -> str:
    """Tell a change of types from one of descriptions, which nobody expects to matter."""
    types = [{name: each.type for name, each in variables.variables.items()} for variables in (one, other)]
    return " (in their descriptions only)" if types[0] == types[1] else ""


def _entries(count: Count | None) -> str:
    if count is None:
        return "an unknown number of cached results"
    noun = "cached result" if count == Count(1) else "cached results"
    return f"{count} {noun}"


def _fields(
    dataset: CacheDataset, count: Count | None, reasons: tuple[str, ...], *, hit: bool
) -> tuple[tuple[str, str | int | bool | tuple[str, ...]], ...]:
    return (
        ("dataset", dataset.name),
        ("dataset_version", dataset.version),
        ("entries", "unknown" if count is None else count.number),
        ("more", count is not None and count.more),
        ("still_found", hit),
        ("reasons", reasons),
    )


def _hash(variables: VariableMap) -> str:
    return base64.urlsafe_b64encode(digest(variables)).rstrip(b"=").decode()[:_HASH_CHARACTERS]
