"""Limits that the kernel keeps, where this machine lets it; elsewhere CPUs are counted and memory is watched."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flyteform_dataplane.ports import Limits
from flyteform_dataplane.process.cgroups import Cgroups
from flyteform_dataplane.process.executor import ProcessExecutor
from flyteform_dataplane.process.limits import Machine
from support.attempts import Bench

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flyteform_dataplane.process.images import ImageTable

OWNER = "/state"
FOLDER = f"flyteform-{hashlib.sha256(OWNER.encode()).hexdigest()[:12]}"


def fake(root: Path, *files: str) -> Path:
    """Lay out what a kernel would show of this process's own groups, as plain files."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            (root / controller / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
    for name in files:
        (root / name).touch()
    return root


def written(folder: Path) -> dict[str, str]:
    """Return what was written to the kernel."""
    return {path.name: path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_version_2_limits_a_whole_tree(tmp_path: Path) -> None:
    """Memory and CPU go into one group, below a folder of this data plane's own, and both are removed."""
    cgroups = Cgroups.detect(OWNER, fake(tmp_path, "cgroup.controllers"))
    groups = cgroups.make("attempt", Limits(cpu=1.5, memory=100 << 20))
    (folder,) = groups.folders
    assert written(folder)["memory.max"] == str(100 << 20)
    assert written(folder)["cpu.max"] == "150000 100000"
    assert groups.entrances == (f"{folder}/cgroup.procs",)
    assert cgroups.describe() == "memory by cgroup v2, cpu by cgroup v2"


def test_no_limit_makes_no_group(tmp_path: Path) -> None:
    """Most attempts need none, and pay for none."""
    cgroups = Cgroups.detect(OWNER, fake(tmp_path, "cgroup.controllers"))
    assert cgroups.make("attempt", Limits()).folders == ()
    assert cgroups.make("attempt", Limits(cpu=0.001)).folders != ()


def test_a_kill_for_memory_is_known(tmp_path: Path) -> None:
    """The kernel counts what it has killed, in one file or another."""
    for name in ("memory.events", "memory.oom_control"):
        root = fake(tmp_path / name, "cgroup.controllers")
        groups = Cgroups.detect(OWNER, root).make("attempt", Limits(memory=1 << 20))
        (folder,) = groups.folders
        assert not groups.ran_out_of_memory()
        (folder / name).write_text("under_oom 0\noom_kill 0\n")
        assert not groups.ran_out_of_memory()
        (folder / name).write_text("under_oom 0\noom_kill 2\n")
        assert groups.ran_out_of_memory()


def test_a_machine_without_groups_is_told_so(tmp_path: Path) -> None:
    """Nothing is made, nothing fails."""
    cgroups = Cgroups.detect(OWNER, tmp_path)
    assert cgroups.describe() == "memory by watching each attempt, cpu by the number of its CPUs"
    assert cgroups.make("attempt", Limits(cpu=1, memory=1 << 20)).folders == ()
    cgroups.close()


@pytest.fixture
async def limited(tmp_path: Path, images: ImageTable) -> AsyncIterator[Bench]:
    """Give attempts in real groups of this machine; skipped where there can be none."""
    found: list[Cgroups] = []

    def detect(owner: str) -> Cgroups:
        found.append(Cgroups.detect(owner))
        return found[0]

    made = ProcessExecutor(tmp_path / "state", images, max_attempts=2, machine=Machine(2, 8 << 30, 0), cgroups=detect)
    await made.open()
    try:
        if "memory" not in found[0] or "cpu" not in found[0]:
            pytest.skip("this machine lets nobody make control groups here")
        yield Bench(made)
    finally:
        folders = list(found[0]._folders.values())  # noqa: SLF001 - nothing of them may be left
        await made.close()
        assert not any(folder.exists() for folder in folders)


@pytest.mark.parametrize("way", ["warm", "cold"])
async def test_the_kernel_ends_what_grows_faster_than_anybody_looks(limited: Bench, way: str) -> None:
    """Memory over the limit is the attempt's own fault, with the same words as where it is watched."""
    code = "data = bytearray(b'x') * (400 << 20)"
    ended = await (await getattr(limited, way)(code, memory=64 << 20).start()).end()
    assert ended.user_error
    assert ended.reason == "OOM: it used more memory than its limit of 64Mi"


@pytest.mark.parametrize("way", ["warm", "cold"])
async def test_a_share_of_a_cpu_is_all_it_gets(limited: Bench, way: str) -> None:
    """A tenth of a CPU for two processes together: a second of waiting gives them far less than a second of work."""
    code = """
import os, time
if os.fork() == 0:
    end = time.monotonic() + 1.0
    while time.monotonic() < end: pass
    os._exit(0)
end = time.monotonic() + 1.0
while time.monotonic() < end: pass
os.wait()
print(sum(os.times()[:4]))
"""
    run = await getattr(limited, way)(code, cpu=0.1).start()
    assert (await run.end()).exit_code == 0
    assert float(run.log) < 0.6


@pytest.mark.parametrize("way", ["warm", "cold"])
async def test_limits_beyond_all_machines_limit_nothing(limited: Bench, way: str) -> None:
    """Numbers that no kernel takes are as good as none."""
    run = await getattr(limited, way)("print('ran')", cpu=1e9, memory=1 << 62).start()
    assert (await run.end()).exit_code == 0
    assert run.log == "ran\n"


async def test_without_groups_cpus_are_counted(bench: Bench) -> None:
    """An attempt that may use one CPU has one; two of them have different ones."""
    code = "import os; print(*os.sched_getaffinity(0))"
    runs = [await bench.warm(code, cpu=0.5).start(), await bench.cold(code, cpu=1.0).start()]
    seen = [((await run.end()), run.log.split())[1] for run in runs]
    assert [len(cpus) for cpus in seen] == [1, 1]
    if len(os.sched_getaffinity(0)) > 1:
        assert seen[0] != seen[1]
