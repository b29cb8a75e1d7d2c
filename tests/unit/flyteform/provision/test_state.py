"""The state document and its file: whole or not at all, one writer at a time."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyteform.provision.errors import StateError, StateLockedError
from flyteform.provision.model import Address, Kind
from flyteform.provision.state import State, dump_state, load_state
from flyteform.provision.state_file import FileStateStore, default_state_path

if TYPE_CHECKING:
    from pathlib import Path

TASK = Address(Kind.TASK, "p", "d", "m.t")
ADDRESSES = st.builds(Address, st.sampled_from(Kind), st.text(max_size=5), st.text(max_size=5), st.text(max_size=9))


@given(st.integers(0, 9), st.dictionaries(ADDRESSES, st.none() | st.text(max_size=5), max_size=5))
def test_the_document_reads_back(serial: int, owned: dict[Address, str | None]) -> None:
    """What is written is what is read, and the order of entries makes no difference to the bytes."""
    state = State(serial, owned)
    assert load_state(dump_state(state), "x") == state
    assert dump_state(State(serial, dict(reversed(owned.items())))) == dump_state(state)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"format": "other", "version": 1, "serial": 1}'])
def test_what_is_no_state_is_refused(text: str) -> None:
    """A file that is something else is never taken for an empty state."""
    with pytest.raises(StateError, match="no state document"):
        load_state(text, "here")


def test_a_later_format_is_refused() -> None:
    """A state of a later release is not misread."""
    document = json.loads(dump_state(State())) | {"version": 2}
    with pytest.raises(StateError, match="later release"):
        load_state(json.dumps(document), "here")


async def test_saving_replaces_the_whole_file(tmp_path: Path) -> None:
    """No file is an empty state; what was saved last is loaded; nothing else is left in the directory."""
    store = FileStateStore(tmp_path / "new" / "s.json")
    assert await store.load() == State()
    await store.save(State(1, {TASK: "v1"}))
    await store.save(State(2, {TASK: "v2"}))
    assert await store.load() == State(2, {TASK: "v2"})
    assert [path.name for path in store.path.parent.iterdir()] == ["s.json"]


async def test_a_crash_while_writing_leaves_the_old_state(tmp_path: Path) -> None:
    """A half-written new file beside the state is not the state."""
    store = FileStateStore(tmp_path / "s.json")
    await store.save(State(1, {TASK: "v1"}))
    (tmp_path / "s.json.tmp").write_text('{"format": "flytef')
    assert await store.load() == State(1, {TASK: "v1"})
    await store.save(State(2))
    assert await store.load() == State(2)


async def test_a_second_apply_is_refused_with_the_process_that_holds_it(tmp_path: Path) -> None:
    """While one apply holds the state another one is refused at once; afterwards it may begin."""
    path = tmp_path / "s.json"
    async with FileStateStore(path).lock():
        with pytest.raises(StateLockedError, match=f"process {os.getpid()}"):
            async with FileStateStore(path).lock():
                pass
    async with FileStateStore(path).lock():
        pass


async def test_a_killed_apply_holds_nothing(tmp_path: Path) -> None:
    """The lock ends with its process, even if that is killed."""
    path = tmp_path / "s.json"
    script = (
        "import asyncio, sys, pathlib\n"
        "from flyteform.provision.state_file import FileStateStore\n"
        "async def main():\n"
        "    async with FileStateStore(pathlib.Path(sys.argv[1])).lock():\n"
        "        print('held', flush=True)\n"
        "        await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(path), stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"held\n"
    with pytest.raises(StateLockedError, match=f"process {holder.pid}"):
        async with FileStateStore(path).lock():
            pass
    holder.kill()
    await holder.wait()
    async with FileStateStore(path).lock():
        pass


def test_each_declaration_and_place_has_a_state_of_its_own(tmp_path: Path) -> None:
    """Two declarations, platforms, projects or domains never share what they own."""
    paths = {
        default_state_path(tmp_path / name, endpoint, project, domain)
        for name in ("a.py", "b.py")
        for endpoint in ("h:1", "h:2")
        for project in ("p", "q")
        for domain in ("d", "e")
    }
    assert len(paths) == 16
    assert {path.parent for path in paths} == {tmp_path / ".flyteform"}
