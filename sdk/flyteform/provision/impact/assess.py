"""Judge a plan: give its changes their semantic differences and what they mean for others. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flyteform.provision.impact.cache import judge_cache
from flyteform.provision.impact.compatibility import judge_interface
from flyteform.provision.impact.diff import LaunchPlanDefinition, TaskDefinition, differences_of, wanted
from flyteform.provision.impact.executions import judge_executions
from flyteform.provision.impact.model import Severity
from flyteform.provision.impact.schedule import judge_schedule
from flyteform.provision.model import Action, Kind
from flyteform.provision.redaction import redact_field

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from flyteform.provision.impact.facts import Facts
    from flyteform.provision.impact.model import Impact
    from flyteform.provision.model import Address, Change, Desired, Entity, FieldChange


def assess(changes: Iterable[Change], desired: Desired, facts: Facts, now: datetime) -> tuple[Change, ...]:
    """Return the changes with their differences, without secrets, and with their impacts."""
    entities = {entity.address: entity for entity in desired.entities}
    workflows = frozenset(address.name for address in entities if address.kind is Kind.WORKFLOW)
    judge = _Judge(entities, workflows, facts, now)
    return tuple(judge.change(each) for each in changes)


@dataclass(frozen=True, slots=True)
class _Judge:
    entities: Mapping[Address, Entity]
    workflows: frozenset[str]
    facts: Facts
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
        if change.action is not Action.NEW_VERSION or previous is None:
            return change.fields
        return differences_of(previous.definition, wanted(self.entities[change.address]), known=self.workflows)

    def _impacts(self, change: Change) -> Iterator[Impact]:
        match change.action:
            case Action.NEW_VERSION:
                yield from self._new_version(change)
            case Action.ACTIVATE:
                definition = wanted(self.entities[change.address])
                if isinstance(definition, LaunchPlanDefinition):
                    yield from judge_schedule(self.facts.active.get(change.address), definition.spec, self.now)
            case Action.DEACTIVATE:
                yield from judge_schedule(self.facts.active.get(change.address), None, self.now)
                yield from judge_executions(self.facts.in_flight.get(change.address))
            case Action.ARCHIVE:
                yield from judge_executions(self.facts.in_flight.get(change.address))
            case _:
                return

    def _new_version(self, change: Change) -> Iterator[Impact]:
        previous = self.facts.previous.get(change.address)
        if previous is not None:
            entity = self.entities[change.address]
            yield from judge_interface(entity, previous, self.facts, self.entities)
            match previous.definition, wanted(entity):
                case TaskDefinition(old), TaskDefinition(new):
                    origin = change.moved_from or change.address
                    yield from judge_cache(origin, old, change.address, new, self.facts)
                case _:
                    pass
        yield from judge_executions(self.facts.in_flight.get(change.address))
