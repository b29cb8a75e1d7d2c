"""What a resource's new inputs would change: the core's plan over the remembered world, told by property paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flyteform.provision.identifiers import RESOURCE_TYPES
from flyteform.provision.model import Action, Change, Kind
from flyteform.provision.plan import plan_changes
from flyteform.provision.unversioned import UNVERSIONED
from flyteform.pulumi.provider.paths import Difference, differences
from flyteform.pulumi.provider.subjects import Subject, ignores, subject_of
from flyteform.pulumi.provider.values import has_unknown
from flyteform.pulumi.provider.worlds import ACTIVE, outputs_when_done, remembered

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from flyteform.pulumi.kinds import ResourceType
    from flyteform.pulumi.provider.paths import Path

# What only a new version can alter.
_CONTENT = frozenset({"spec", "calls", "code", "bundle", "default", "version"})


@dataclass(frozen=True, slots=True)
class PropertyChange:
    """One property that differs; `of_input` tells whether it is given or only observed."""

    path: Path
    difference: Difference
    of_input: bool
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Remembered:
    """A resource as Pulumi's state has it."""

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


def diff(
    described: ResourceType, old: Remembered, inputs: Mapping[str, Any], ignored: Collection[str] = ()
) -> tuple[PropertyChange, ...]:
    """Return what an update would change, nothing if there is nothing to do."""
    if _moves(described, old, inputs):
        return tuple(_input_changes(described, old, inputs, ignored, relevant=frozenset(described.inputs)))
    subject = subject_of(described, inputs, ignored)
    steps = () if subject is None else planned(described, subject, old)
    if subject is not None and not steps:
        return ()
    relevant = _relevant(described, steps, known=subject is not None)
    changed = tuple(_input_changes(described, old, inputs, ignored, relevant=relevant))
    return changed or tuple(_drifts(described, old, subject, inputs, ignored))


def planned(described: ResourceType, subject: Subject, old: Remembered) -> tuple[Change, ...]:
    """Return the core's steps from what is remembered to what is wanted."""
    changes = plan_changes(subject.desired, remembered(described, old.outputs, old.inputs), ())
    return tuple(change for change in changes if change.action is not Action.NO_OP)


def is_done(described: ResourceType, outputs: Mapping[str, Any]) -> bool:
    """Tell at once that nothing has moved away from what was made, where that is easy to tell."""
    if outputs.get("state") != ACTIVE or described.kind in UNVERSIONED or described.kind is Kind.PROJECT:
        return False
    wanted = outputs.get("version") if outputs.get("active") else ""
    return described.kind is not Kind.LAUNCH_PLAN or outputs.get("activeVersion") == wanted


def _moves(described: ResourceType, old: Remembered, inputs: Mapping[str, Any]) -> bool:
    return any(each.address and inputs.get(name) != old.outputs.get(name) for name, each in described.inputs.items())


def _relevant(described: ResourceType, steps: Collection[Change], *, known: bool) -> frozenset[str]:
    """Return the inputs whose difference counts: without a new version, what makes versions does not."""
    names = frozenset(described.inputs)
    registers = not known or any(step.action in (Action.CREATE, Action.NEW_VERSION) for step in steps)
    return names if registers or described.kind not in RESOURCE_TYPES else names - _CONTENT


def _input_changes(
    described: ResourceType,
    old: Remembered,
    inputs: Mapping[str, Any],
    ignored: Collection[str],
    *,
    relevant: Collection[str],
) -> Iterator[PropertyChange]:
    before = {name: value for name, value in old.inputs.items() if name in relevant and value is not None}
    after = {name: value for name, value in inputs.items() if name in relevant}
    # A state that was imported or written by hand may have an address in its outputs only.
    before |= {name: old.outputs[name] for name, each in described.inputs.items() if each.address and name in relevant}
    for path, difference in differences(before, after):
        if not ignores(ignored, path):
            yield PropertyChange(path, difference, of_input=True, replaces=described.inputs[str(path[0])].address)


def _drifts(
    described: ResourceType,
    old: Remembered,
    subject: Subject | None,
    inputs: Mapping[str, Any],
    ignored: Collection[str],
) -> Iterator[PropertyChange]:
    """Yield what was found changed on the platform, as the inputs are as before."""
    wanted = outputs_when_done(described, subject, inputs)
    before = {name: value for name, value in old.outputs.items() if name in wanted}
    for path, difference in differences(before, wanted):
        if not ignores(ignored, path) and not has_unknown(wanted[str(path[0])]):
            yield PropertyChange(path, difference, of_input=False)
