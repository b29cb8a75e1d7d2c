"""Judge a plan: give its changes their semantic differences and what they mean for others. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flyteform.provision.impact.cache import judge_cache
from flyteform.provision.impact.compatibility import Callers, callers_of, judge_interface
from flyteform.provision.impact.diff import LaunchPlanDefinition, TaskDefinition, differences_of, wanted
from flyteform.provision.impact.executions import judge_executions
from flyteform.provision.impact.model import Severity
from flyteform.provision.impact.schedule import judge_schedule
from flyteform.provision.model import REGISTRATIONS, Action
from flyteform.provision.redaction import redact_field

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from flyteidl.admin import launch_plan_pb2

    from flyteform.provision.impact.facts import Facts
    from flyteform.provision.impact.model import Impact
    from flyteform.provision.model import Address, Change, Desired, Entity, FieldChange


def assess(changes: Iterable[Change], desired: Desired, facts: Facts, now: datetime) -> tuple[Change, ...]:
    """Return the changes with their differences, without secrets, and with their impacts."""
    entities = {entity.address: entity for entity in desired.entities}
    judge = _Judge(entities, facts, callers_of(facts, entities), now)
    return tuple(judge.change(each) for each in changes)


@dataclass(frozen=True, slots=True)
class _Judge:
    entities: Mapping[Address, Entity]
    facts: Facts
    callers: Callers
    now: datetime

    def change(self, change: Change) -> Change:
        impacts = tuple(self._impacts(change))
        return replace(
            change,
            fields=tuple(redact_field(each) for each in self._fields(change)),
            impacts=impacts,
            breaking=any(each.severity is Severity.BREAKING for each in impacts),
        )

    def _fields(self, change: Change) -> tuple[FieldChange, ...]:
        """Return the semantic difference where the version before is known."""
        previous = self.facts.previous.get(change.address)
        if change.action not in REGISTRATIONS or previous is None:
            return change.fields
        return differences_of(previous.definition, wanted(self.entities[change.address]))

    def _impacts(self, change: Change) -> Iterator[Impact]:
        match change.action:
            case Action.NEW_VERSION | Action.CREATE:
                yield from self._new_version(change)
            case Action.ACTIVATE:
                spec = self._activated(change.address)
                if spec is not None:
                    yield from judge_schedule(self.facts.active.get(change.address), spec, self.now)
            case Action.DEACTIVATE:
                yield from judge_schedule(self.facts.active.get(change.address), None, self.now)
                yield from judge_executions(self.facts.in_flight.get(change.address))
            case Action.ARCHIVE:
                yield from judge_executions(self.facts.in_flight.get(change.address))
            case _:
                return

    def _activated(self, address: Address) -> launch_plan_pb2.LaunchPlanSpec | None:
        if address in self.facts.referenced:
            return self.facts.referenced[address].spec
        definition = wanted(self.entities[address]) if self.entities[address].spec else None
        return definition.spec if isinstance(definition, LaunchPlanDefinition) else None

    def _new_version(self, change: Change) -> Iterator[Impact]:
        previous = self.facts.previous.get(change.address)
        if previous is not None:
            yield from judge_interface(change.address, previous, self.facts, self.entities, self.callers)
            match previous.definition, wanted(self.entities[change.address]):
                case TaskDefinition(old), TaskDefinition(new):
                    origin = change.moved_from or change.address
                    yield from judge_cache(origin, old, change.address, new, self.facts)
                case _:
                    pass
        yield from judge_executions(self.facts.in_flight.get(change.address))
