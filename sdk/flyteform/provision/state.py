"""What we own: a small versioned document. The world itself is always read from the platform."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from flyteform.provision.errors import StateError
from flyteform.provision.model import Address, Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

FORMAT = "flyteform-state"
FORMAT_VERSION = 1
_RESTORE = "restore it from a copy, or name another one with --state"


@dataclass(frozen=True, slots=True)
class State:
    """Addresses that a declaration owns, each with the version applied last, None if that is not known to be done.

    `serial` counts the writes. An address is owned before anything is written to the platform for it, so that a crash
    can leave no resource behind that nobody owns.
    """

    serial: int = 0
    owned: Mapping[Address, str | None] = field(default_factory=dict)

    def claim(self, addresses: Iterable[Address]) -> State:
        """Own these addresses too."""
        new = {address: self.owned.get(address) for address in addresses}
        return replace(self, owned={**self.owned, **new})

    def record(self, address: Address, version: str | None) -> State:
        """Note the version applied to an address."""
        return replace(self, owned={**self.owned, address: version})

    def release(self, addresses: Iterable[Address]) -> State:
        """Own these addresses no longer."""
        gone = frozenset(addresses)
        return replace(self, owned={key: value for key, value in self.owned.items() if key not in gone})


class MemoryStateStore:
    """A state that nobody keeps: for registering what is owned by nobody."""

    def __init__(self) -> None:
        self._state = State()

    @property
    def location(self) -> str:
        """Its name in messages."""
        return "memory"

    async def load(self) -> State:
        """Return what was saved last."""
        return self._state

    async def save(self, state: State) -> None:
        """Keep it until the process ends."""
        self._state = state

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Hold nothing: nobody else can reach it."""
        yield


def dump_state(state: State) -> str:
    """Write the document: sorted, one resource a line group, so that it reads and diffs well."""
    resources = [
        {
            "kind": address.kind.value,
            "project": address.project,
            "domain": address.domain,
            "name": address.name,
            "version": state.owned[address],
        }
        for address in sorted(state.owned)
    ]
    document = {"format": FORMAT, "version": FORMAT_VERSION, "serial": state.serial, "resources": resources}
    return json.dumps(document, indent=2) + "\n"


def load_state(text: str, location: str) -> State:
    """Read the document; `StateError` if it is not one, or of a later version than this program knows."""
    try:
        document = json.loads(text)
        form, version, serial = document["format"], int(document["version"]), int(document["serial"])
        readable = form == FORMAT and version <= FORMAT_VERSION
        owned = {_address(entry): entry["version"] for entry in document["resources"]} if readable else {}
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(f"{location} is no state document", remedy=_RESTORE) from error
    if form != FORMAT:
        raise StateError(f"{location} is no state document", remedy=_RESTORE)
    if version > FORMAT_VERSION:
        raise StateError(
            f"{location} was written by a later release (format {version})", remedy="upgrade flyteform on this machine"
        )
    return State(serial, owned)


def _address(entry: Mapping[str, str]) -> Address:
    return Address(Kind(entry["kind"]), entry["project"], entry["domain"], entry["name"])
