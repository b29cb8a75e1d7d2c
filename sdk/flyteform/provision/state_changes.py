"""What can be done to a state by hand: rename, forget, replace. Nothing of it touches the platform."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from flyteform.provision.errors import StateError
from flyteform.provision.state_store import this_process

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flyteform.provision.model import Address
    from flyteform.provision.ports import StateStore
    from flyteform.provision.state import State


async def move(store: StateStore, source: Address, target: Address) -> None:
    """Own under another address what is owned; `StateError` if there is nothing, or something at the target."""
    if source.kind is not target.kind:
        raise StateError(
            f"a {source.kind.label} cannot become a {target.kind.label}", remedy="move to an address of the same kind"
        )
    await _change(store, lambda state: state.move(source, target))


async def forget(store: StateStore, addresses: Sequence[Address]) -> None:
    """Own these no longer; the platform keeps them as they are. `StateError` if one is not owned."""

    def without(state: State) -> State:
        for address in addresses:
            if address not in state.records:
                raise StateError(f"{address} is not in the state", remedy="list what is: flyteform state list")
        return state.release(addresses)

    await _change(store, without)


async def push(store: StateStore, pushed: State, *, force: bool = False) -> None:
    """Put a state in the place of the one that is kept.

    `StateError`, unless forced, if it is of another lineage or does not follow on the one that is kept.
    """
    async with store.lock():
        kept = await store.load()
        if not force and kept.serial:
            _check_follows(kept, pushed, store.location)
        if pushed == kept:
            return
        serial = max(kept.serial, pushed.serial - 1)
        await store.save(type(pushed)(serial, pushed.records, pushed.lineage, pushed.runs).next(uuid.uuid4().hex))


def _check_follows(kept: State, pushed: State, location: str) -> None:
    remedy = "look at both (flyteform state pull); --force replaces the one that is kept"
    if kept.lineage and pushed.lineage != kept.lineage:
        raise StateError(
            f"the state that is pushed is no later one of {location}: it was begun elsewhere", remedy=remedy
        )
    if pushed.serial <= kept.serial and pushed != kept:
        raise StateError(
            f"{location} has serial {kept.serial}, and the state that is pushed only {pushed.serial}", remedy=remedy
        )


async def _change(store: StateStore, change: Callable[[State], State]) -> None:
    async with store.lock():
        process = this_process()
        state = change((await store.load()).begin(process.since, process.who))
        await store.save(state.next(uuid.uuid4().hex))
