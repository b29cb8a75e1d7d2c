"""An operator on a real API server with simulated kubelets: many executions, a wide map, a long chain.

The floor, in the same run on the same API server: as many pods like those of tasks, but nobody's, made and seen to
their ends by a client that does nothing else, as many at once. A chain's floor makes each when the one before has
ended. Half of a floor comes before what is held against it and half after, so that what else the machine does meets
both; the executions, which take less time than a machine's moods last, are held against it in halves and in five
rounds, of which this is the mean, after all of them at once.
Both are also compared in CPU time of all processes, which that changes less than the clock. Neither waits for this
machine's disk: etcd does without its fsync, and the objects, which a cluster has in a bucket, lie in memory, or in the
folder FLYTEFORM_BENCH_OBJECTS. For orientation: Go
FlytePropeller v1.16.8 with instant pods took 0.3 to 1.3 s for one node, 1.9 to 4.1 s for a chain of 10, 9.6 to 14.7 s
for 100 beside each other, and 174 to 195 MiB.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import report

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from benchmarks.kubernetes.bench import AT_ONCE, Bench, Cost
from flyteform_dataplane.kubernetes.api import connect
from support.closures import Flow, integers
from support.leasing import LeasingControl
from support.operators import Operators, chain, install, wide
from support.simulated import simulated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteform.proto.flyteform.v1.link_pb2 import Lease

EXECUTIONS, ITEMS, LENGTH = 1000, 10_000, 1000
ROUNDS, PORTIONS = 5, 2  # of the executions, each between two halves of its floor
GOAL, GOAL_MIB = 1.3, 170
_MEMORY = "/dev/shm"  # noqa: S108 - a new folder is made in it, for us alone


def main() -> None:
    """Start a cluster, measure, and remove it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is stopped all the same
    scale = float(os.environ.get("FLYTEFORM_BENCH_SCALE", "1"))
    place = os.environ.get("FLYTEFORM_BENCH_OBJECTS", _MEMORY if os.access(_MEMORY, os.W_OK) else None)
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory(dir=place) as objects,
        simulated(Path(folder)),
    ):
        install()
        asyncio.run(_measure(Path(folder), Path(objects), scale))


async def _measure(folder: Path, objects: Path, scale: float) -> None:
    executions, items, length = (max(1, round(count * scale)) for count in (EXECUTIONS, ITEMS, LENGTH))
    async with LeasingControl().serving() as control, connect(Path(os.environ["KUBECONFIG"])) as api:
        operators = Operators(folder, control.address, objects=objects)
        bench = Bench(api, control, operators, operators.start("--log-level", "WARNING"))
        try:
            await bench.warm_up(operators.lease(chain(1), "warm"))
            await _small(bench)
            await _many(bench, executions)
            await _long(bench, length)
            await _map(bench, items)
            peak = bench.peak_mib()
            report(
                "memory of the operator at its peak, as a share of the goal",
                peak / GOAL_MIB,
                goal="goal: below 1",
                detail=f"{peak:.0f} MiB",
            )
        finally:
            operators.stop()


async def _small(bench: Bench) -> None:
    for what, flow, nodes, go in (
        ("1 node", chain(1), 1, "0.3 to 1.3"),
        ("a chain of 10", chain(10), 10, "1.9 to 4.1"),
        ("100 beside each other", wide(100), 100, "9.6 to 14.7"),
    ):
        at_once = AT_ONCE if nodes == 100 else 1  # noqa: PLR2004 - the last of them
        cost = await bench.run([bench.operators.lease(flow, f"small-{nodes}")])
        _tell(what, cost, await bench.floor(nodes, at_once=at_once), nodes, f"Go FlytePropeller {go} s")
    await bench.clear()


async def _many(bench: Bench, count: int) -> None:
    few, portion = max(1, count // 4), max(1, count // PORTIONS)
    little = await _alone(bench, _chains(bench, "few", few))
    much = await _alone(bench, _chains(bench, "many", count))
    rounds = []
    for turn in range(ROUNDS):
        each = [
            await _held_against_floor(bench, _chains(bench, f"round-{turn}-{number}", portion), 3 * portion)
            for number in range(PORTIONS)
        ]
        rounds.append(_together(each))
    cost, floor = (costs / ROUNDS for costs in _together(rounds))
    ratios = ", ".join(f"{ours.seconds / least.seconds:.2f}" for ours, least in rounds)
    done = PORTIONS * portion
    more = f"{60 * count / much.seconds:.0f} a minute of {count} at once, the rounds {ratios}"
    _tell(f"{done} executions of 3 nodes", cost, floor, 3 * done, more)
    _tell_growth("execution", few, little, count, much)


def _chains(bench: Bench, name: str, count: int) -> list[Lease]:
    return [bench.operators.lease(chain(3), f"{name}-{number}") for number in range(count)]


def _together(pairs: Sequence[tuple[Cost, Cost]]) -> tuple[Cost, Cost]:
    """Add up what was measured, and its floors."""
    ours, floors = zip(*pairs, strict=True)
    return sum(ours[1:], ours[0]), sum(floors[1:], floors[0])


async def _long(bench: Bench, length: int) -> None:
    short = max(1, length // 10)
    little = await _alone(bench, [bench.operators.lease(chain(short), "short")])
    cost, floor = await _held_against_floor(bench, [bench.operators.lease(chain(length), "long")], length, at_once=1)
    _tell(f"a chain of {length}", cost, floor, length, f"{60 * length / cost.seconds:.0f} nodes a minute")
    _tell_growth("node of a chain", short, little, length, cost)


async def _map(bench: Bench, items: int) -> None:
    few = max(1, items // 10)
    little = await _alone(bench, [_mapped(bench, few)])
    cost, floor = await _held_against_floor(bench, [_mapped(bench, items)], items)
    _tell(f"a map over {items}", cost, floor, items, f"{60 * items / cost.seconds:.0f} items a minute")
    _tell_growth("item of a map", few, little, items, cost)


def _mapped(bench: Bench, items: int) -> Lease:
    flow = Flow(name="map").map("m", {"x": integers(*range(items))}, outputs=())
    return bench.operators.lease(flow, f"map-{items}")


async def _alone(bench: Bench, leases: Sequence[Lease]) -> Cost:
    cost = await bench.run(leases)
    await bench.clear()
    return cost


async def _held_against_floor(
    bench: Bench, leases: Sequence[Lease], pods: int, *, at_once: int = AT_ONCE
) -> tuple[Cost, Cost]:
    """Return what executions cost, and what as many bare pods do: half of them before, half after."""
    first = await bench.floor(pods // 2, at_once=at_once)
    await bench.clear()
    cost = await _alone(bench, leases)
    floor = first + await bench.floor(pods - pods // 2, at_once=at_once)
    await bench.clear()
    return cost, floor


def _tell(what: str, cost: Cost, floor: Cost, nodes: int, more: str) -> None:
    clock, cpu = (
        1000 * (ours - least) / nodes for ours, least in ((cost.seconds, floor.seconds), (cost.cpu, floor.cpu))
    )
    report(
        f"{what}, in times of as many bare pods",
        cost.seconds / floor.seconds,
        goal=f"goal: {GOAL}",
        detail=f"{cost.seconds:.1f} s, floor {floor.seconds:.1f} s, {more}; {cost.cpu / floor.cpu:.2f} in CPU time; "
        f"beyond the pod's own {clock:.1f} ms and {cpu:.1f} ms of CPU per node, {1000 * cost.operator / nodes:.1f} ms "
        f"in the operator; {cost.requests / nodes:.2f} requests where the floor has {floor.requests / nodes:.2f}",
    )


def _tell_growth(what: str, few: int, little: Cost, many: int, much: Cost) -> None:
    """Compare what one costs among few and among many: nothing may grow faster than the work."""
    least, most = 1000 * little.cpu / few, 1000 * much.cpu / many
    clock = (much.seconds / many) / (little.seconds / few)
    report(
        f"CPU per {what} among {many} in times of that among {few}",
        most / least,
        goal="goal: about 1",
        detail=f"{least:.0f} and {most:.0f} ms of CPU; {clock:.2f} on the clock",
    )
