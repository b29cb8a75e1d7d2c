"""What every place for a state has to do: whole documents, one writer at a time, and no word of a former one."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING

import pytest

from flyteform.provision.encryption import Cipher
from flyteform.provision.errors import StateError, StateLockedError, StateLostError
from flyteform.provision.model import Address, Kind
from flyteform.provision.ports import Holder
from flyteform.provision.state import Record, State
from flyteform.provision.state_store import DocumentStore

if TYPE_CHECKING:
    from conftest import Place
    from flyteform.provision.ports import StateLease

ME, OTHER = Holder("me", "2026-01-01T00:00:00Z"), Holder("other", "2026-01-01T00:00:01Z")
STATE = State(1, {Address(Kind.TASK, "p", "d", "ü.t"): Record("v1")}, "lineage")
EXPIRES = ("s3", "azure", "gcs", "service")


async def test_nothing_is_there_at_first(place: Place) -> None:
    """Before the first write there is no document, and nobody holds it."""
    backend = place.open()
    assert await backend.read() is None
    assert await backend.holder() is None
    assert await DocumentStore(backend).load() == State()


async def test_what_was_written_last_is_read_by_all(place: Place) -> None:
    """Each write replaces the whole document, small or large, for every reader."""
    lease = await place.open().acquire(ME)
    for serial, text in enumerate(("one", "ü" * 300_000, "three"), start=1):
        await lease.write(text, serial)
        assert await place.open().read() == text
    await lease.release()
    assert await place.open().read() == "three"


async def test_one_holder_at_a_time(place: Place) -> None:
    """While one holds it others are refused and told by whom; given back it is free, for the next and the next."""
    lease = await place.open().acquire(ME)
    with pytest.raises(StateLockedError, match="held by me since") as caught:
        await place.open().acquire(OTHER)
    assert caught.value.holder.who == "me"
    held = await place.open().holder()
    assert held is not None
    assert held.who == "me"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", held.since)
    await lease.release()
    assert await place.open().holder() is None
    again = await place.open().acquire(OTHER)
    await again.release()
    await (await place.open().acquire(ME)).release()


async def test_of_many_at_once_one_gets_it(place: Place) -> None:
    """Eight that ask at the same moment: one holds it, seven are refused."""
    asked = await asyncio.gather(*(place.open().acquire(ME) for _ in range(8)), return_exceptions=True)
    refused = [each for each in asked if isinstance(each, StateLockedError)]
    granted: list[StateLease] = [each for each in asked if not isinstance(each, BaseException)]
    assert (len(granted), len(refused)) == (1, 7)
    await granted[0].release()


async def test_a_former_holder_writes_nothing(place: Place) -> None:
    """Who was asleep while the lease expired and another took it over is refused, and the other's document stays."""
    if place.kind not in EXPIRES:
        pytest.skip("its lock ends with its process alone")
    paused = await place.open().acquire(ME)
    await paused.write("old", 1)
    place.forward(61)
    assert await place.open().holder() is None
    taken = await place.open().acquire(OTHER)
    with pytest.raises(StateLostError, match="taken over"):
        await paused.write("late", 2)
    with pytest.raises(StateLostError):
        paused.check()
    assert await place.open().read() == "old"
    await taken.write("new", 2)
    await paused.release()
    with pytest.raises(StateLockedError):
        await place.open().acquire(ME)
    await taken.release()
    assert await place.open().read() == "new"


async def test_an_expired_lease_that_nobody_took_still_writes(place: Place) -> None:
    """A pause alone costs nothing: as long as nobody took over, the holder goes on."""
    lease = await place.open().acquire(ME)
    place.forward(61)
    await lease.write("on", 1)
    with pytest.raises(StateLockedError):
        await place.open().acquire(OTHER)
    await lease.release()


async def test_unlocking_takes_the_right_to_write(place: Place) -> None:
    """After a forced unlock another one may begin, and the former holder writes nothing."""
    lease = await place.open().acquire(ME)
    await lease.write("one", 1)
    if place.kind == "file":
        with pytest.raises(StateLockedError) as caught:
            await place.open().unlock()
        assert "end that process" in str(caught.value.remedy)
        await lease.release()
        return
    await place.open().unlock()
    assert await place.open().holder() is None
    with pytest.raises(StateLostError):
        await lease.write("two", 2)
    taken = await place.open().acquire(OTHER)
    await lease.release()
    await taken.write("three", 2)
    await taken.release()
    assert await place.open().read() == "three"


async def test_unlocking_what_nobody_holds(place: Place) -> None:
    """Nothing happens, whether there is a document or not."""
    await place.open().unlock()
    lease = await place.open().acquire(ME)
    await lease.write("one", 1)
    await lease.release()
    await place.open().unlock()
    assert await place.open().read() == "one"


async def test_a_store_saves_and_loads(place: Place) -> None:
    """A state comes back as it was saved; a second holder in the same process is refused too."""
    store = DocumentStore(place.open())
    async with store.lock():
        await store.save(STATE)
        store.check()
        with pytest.raises(StateLockedError):
            await DocumentStore(place.open()).save(State(2))
    assert await DocumentStore(place.open()).load() == STATE
    await store.save(State(2))
    assert await store.load() == State(2)


async def test_waiting_for_the_lock(place: Place) -> None:
    """Who waits is told once by whom it is held, and goes on as soon as that one has ended."""
    waiting = asyncio.Event()
    told: list[Holder] = []

    def tell(holder: Holder) -> None:
        told.append(holder)
        waiting.set()

    async def second() -> State:
        store = DocumentStore(place.open())
        async with store.lock(60, tell):
            return await store.load()

    first = DocumentStore(place.open())
    async with first.lock():
        other = asyncio.create_task(second())
        await waiting.wait()
        await first.save(STATE)
    assert await other == STATE
    assert len(told) == 1
    assert "process" in told[0].who


async def test_waiting_in_vain(place: Place) -> None:
    """The time to wait is limited."""
    async with DocumentStore(place.open()).lock():
        with pytest.raises(StateLockedError, match="held by"):
            async with DocumentStore(place.open()).lock(0.1):
                pass


async def test_an_encrypted_state_is_read_with_its_passphrase_alone(place: Place) -> None:
    """No word of it lies in the open; without, or with another passphrase, one clear error and nothing written."""
    await DocumentStore(place.open(), Cipher("right")).save(STATE)
    text = await place.open().read()
    assert text is not None
    assert json.loads(text).keys() == {"format", "version", "kdf", "nonce", "data"}
    assert "lineage" not in text
    assert await DocumentStore(place.open(), Cipher("right")).load() == STATE
    with pytest.raises(StateError, match="is encrypted") as caught:
        await DocumentStore(place.open()).load()
    assert "FLYTEFORM_STATE_PASSPHRASE" in str(caught.value.remedy)
    with pytest.raises(StateError, match="passphrase is not that of the state"):
        await DocumentStore(place.open(), Cipher("wrong")).load()


async def test_a_plain_state_is_no_substitute_for_an_encrypted_one(place: Place) -> None:
    """Who expects an encrypted document takes no other one."""
    await DocumentStore(place.open()).save(STATE)
    with pytest.raises(StateError, match="is not encrypted"):
        await DocumentStore(place.open(), Cipher("right")).load()
