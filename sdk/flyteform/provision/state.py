"""What we own and what was applied to it last: a small versioned document. The world is read from the platform."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from flyteform.provision.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flyteform.provision.model import Address

# How many applies can be gone back: each is recorded by what it replaced, so this bounds the document too.
KEPT_RUNS = 20
_KEPT_RECORDS = 2000


@dataclass(frozen=True, slots=True)
class Record:
    """What was applied last to one address.

    `version` is that of a task, workflow or launch plan, None until one is known to be applied. `active` says of a
    launch plan whether that version was made the active one, None if that was left alone. `fields` holds, of what has
    no versions, the declared fields as they were applied, and `spec` the message that was written (settings, policies,
    metadata). The world has drifted where it is not as recorded here; the
    declaration has changed where it is not as recorded here. `protect` refuses to take the resource out of use, also
    once it is no longer declared.
    """

    version: str | None = None
    active: bool | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    protect: bool = False
    spec: bytes | None = None


NOTHING = Record()


@dataclass(frozen=True, slots=True)
class Run:
    """One apply, by what it replaced: None for an address that was not owned before.

    `serial` is that of the state which it left, `at` the time in UTC (ISO 8601), `by` who ran it.
    """

    serial: int
    at: str
    by: str
    before: Mapping[Address, Record | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """The addresses that a declaration owns, each with what was applied to it last.

    `serial` counts the writes, `lineage` names the series of states that belong together. An address is owned before
    anything is written to the platform for it, so that a crash can leave no resource behind that nobody owns.
    """

    serial: int = 0
    records: Mapping[Address, Record] = field(default_factory=dict)
    lineage: str = ""
    runs: tuple[Run, ...] = ()

    @property
    def owned(self) -> frozenset[Address]:
        """Everything owned."""
        return frozenset(self.records)

    def begin(self, at: str, by: str) -> State:
        """Open the record of an apply; what is recorded and released from now on belongs to it."""
        return replace(self, runs=(*_kept(self.runs, max(_KEPT_RECORDS, len(self.records))), Run(self.serial, at, by)))

    def next(self, lineage: str) -> State:
        """Return it with the next serial, which is that of the open apply too; `lineage` is for one without."""
        serial = self.serial + 1
        runs = (*self.runs[:-1], *(replace(run, serial=serial) for run in self.runs[-1:]))
        return replace(self, serial=serial, lineage=self.lineage or lineage, runs=runs)

    def claim(self, addresses: Iterable[Address]) -> State:
        """Own these addresses too."""
        return self._with({address: NOTHING for address in addresses if address not in self.records})

    def record(self, address: Address, record: Record) -> State:
        """Note what was applied to an address."""
        return self.record_all({address: record})

    def record_all(self, records: Mapping[Address, Record]) -> State:
        """Note what was applied to many addresses."""
        new = {address: record for address, record in records.items() if self.records.get(address) != record}
        return self._with(new) if new else self

    def release(self, addresses: Iterable[Address]) -> State:
        """Own these addresses no longer."""
        return self._with(dict.fromkeys(frozenset(addresses) & self.owned))

    def move(self, source: Address, target: Address) -> State:
        """Own under another address what is owned; `StateError` if there is nothing, or the target is owned too."""
        if source not in self.records:
            raise StateError(f"{source} is not in the state", remedy="list what is: flyteform state list")
        if target in self.records:
            raise StateError(f"{target} is in the state already", remedy="forget one of them: flyteform state rm")
        return self._with({target: self.records[source], source: None})

    def at(self, serial: int) -> Mapping[Address, Record]:
        """Return what was owned once the apply that left this serial had ended; `StateError` if it is not kept."""
        known = {run.serial for run in self.runs}
        if serial not in known:
            kept = ", ".join(str(each) for each in sorted(known)) or "none"
            raise StateError(f"no apply left serial {serial}", remedy=f"choose one of those that are kept: {kept}")
        records: dict[Address, Record | None] = dict(self.records)
        for run in reversed(self.runs):
            if run.serial > serial:
                records |= run.before
        return {address: record for address, record in records.items() if record is not None}

    def _with(self, changed: Mapping[Address, Record | None]) -> State:
        """Put these in place, and keep in the open apply's record what was there when it began."""
        records = {key: value for key, value in ({**self.records, **changed}).items() if value is not None}
        if not self.runs:
            return replace(self, records=records)
        run = self.runs[-1]
        before = {**{address: self.records.get(address) for address in changed}, **run.before}
        return replace(self, records=records, runs=(*self.runs[:-1], replace(run, before=before)))


def _kept(runs: tuple[Run, ...], records: int) -> tuple[Run, ...]:
    """Return the newest applies, as many as are kept, together with at most about so many records."""
    kept: list[Run] = []
    for run in reversed(runs[-KEPT_RUNS + 1 :]):
        records -= len(run.before)
        if kept and records < 0:
            break
        kept.append(run)
    return tuple(reversed(kept))
