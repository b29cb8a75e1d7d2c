"""An operator on a real API server with simulated kubelets: many executions, a wide map, a long chain.

The floor, in the same run on the same API server: as many bare pods, made and seen to their ends by a client that does
nothing else. A chain's floor makes them one after the other. Both are also held against each other in CPU time of all
processes, which other work on the machine changes less than the clock. For orientation: Go FlytePropeller v1.16.8 with
instant pods took 0.3 to 1.3 s for one node, 1.9 to 4.1 s for a chain of 10, 9.6 to 14.7 s for 100 beside each other,
and 174 to 195 MiB.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import report

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from flyteform.errors import UnavailableError
from flyteform_dataplane.kubernetes.api import connect
from flyteform_dataplane.kubernetes.informer import Informer
from support.closures import Flow, integers
from support.leasing import LeasingControl
from support.operators import NAMESPACE, Operators, chain, install, wide
from support.simulated import simulated

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flyteform.proto.flyteform.v1.link_pb2 import Lease
    from flyteform_dataplane.kubernetes.api import KubernetesApi

EXECUTIONS, ITEMS, LENGTH = 1000, 10_000, 1000
GOAL, GOAL_MIB = 1.3, 170
_PATIENCE = 3600.0
_AT_ONCE = 16
_PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
_REQUESTS = re.compile(r"^apiserver_request_total\{(.*)\} (\S+)$", re.MULTILINE)
_MIB = 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """What a piece of work cost: seconds on the clock, CPU seconds of all processes, requests to the API server."""

    seconds: float
    cpu: float
    requests: float


def main() -> None:
    """Start a cluster, measure, and remove it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is stopped all the same
    scale = float(os.environ.get("FLYTEFORM_BENCH_SCALE", "1"))
    with tempfile.TemporaryDirectory() as folder, simulated(Path(folder)):
        install()
        asyncio.run(_measure(Path(folder), scale))


async def _measure(folder: Path, scale: float) -> None:
    executions, items, length = (max(1, round(count * scale)) for count in (EXECUTIONS, ITEMS, LENGTH))
    async with LeasingControl().serving() as control, connect(Path(os.environ["KUBECONFIG"])) as api:
        operators = Operators(folder, control.address)
        bench = Bench(api, control, operators)
        operator = operators.start("--log-level", "WARNING")
        try:
            await bench.run([operators.lease(chain(1), "warm")])
            await _small(bench)
            await _many(bench, executions)
            await _growth(bench, max(1, executions // 4), executions)
            await _map(bench, items)
            await _long(bench, length)
            peak = _peak_mib(operator.pid)
            report(
                "memory of the operator at its peak, as a share of the goal",
                peak / GOAL_MIB,
                goal="goal: below 1",
                detail=f"{peak:.0f} MiB",
            )
        finally:
            operators.stop()


class Bench:
    """The operator's work and the floor's, measured alike."""

    def __init__(self, api: KubernetesApi, control: LeasingControl, operators: Operators) -> None:
        self._api = api
        self._control = control
        self.operators = operators
        self._floors = 0

    async def run(self, leases: Sequence[Lease]) -> Cost:
        """Lease executions and wait for their ends."""
        before = await self._begin()
        self._control.offer(leases)
        names = [lease.id.name for lease in leases]
        await self._control.until_ended(names, _PATIENCE)
        failed = [name for name in names if self._control.failures[name]]
        if failed:
            raise SystemExit(f"{failed[0]} failed: {self._control.failures[failed[0]]}")
        return await self._end(before)

    async def floor(self, count: int, *, at_once: int = _AT_ONCE) -> Cost:
        """Make so many bare pods and wait for their ends."""
        self._floors += 1
        label, ended = f"floor-{self._floors}", asyncio.Queue[str]()

        def seen(pod: dict[str, Any], there: bool) -> None:
            if there and pod["status"].get("phase") == "Succeeded":
                ended.put_nowait(pod["metadata"]["name"])

        informer = Informer(self._api, _PODS, seen, selector=f"floor={label}")
        informer.start()
        await informer.synced()
        before = await self._begin()
        waiting: dict[str, asyncio.Event] = {}
        slots = asyncio.Semaphore(at_once)

        async def one(name: str) -> None:
            async with slots:
                await self._api.create(_PODS, _pod(name, label))
                if at_once == 1:
                    await waiting[name].wait()

        async def wake() -> None:
            for _ in range(count):
                waiting[await ended.get()].set()

        names = [f"{label}-{number}" for number in range(count)]
        waiting.update((name, asyncio.Event()) for name in names)
        await asyncio.gather(wake(), *(one(name) for name in names))
        cost = await self._end(before)
        await informer.stop()
        return cost

    async def clear(self) -> None:
        """Remove all pods: those of one measurement are no burden for the next."""
        while (await self._api.get_metadata(_PODS, limit="1"))["items"]:
            with contextlib.suppress(UnavailableError):  # many take longer than a request may
                await self._api.delete(_PODS, {"gracePeriodSeconds": 0})

    async def _begin(self) -> tuple[float, float, float]:
        return await self._requests(), _cpu_seconds(), time.perf_counter()

    async def _end(self, before: tuple[float, float, float]) -> Cost:
        seconds, cpu = time.perf_counter() - before[2], _cpu_seconds() - before[1]
        return Cost(seconds, cpu, await self._requests() - before[0])

    async def _requests(self) -> float:
        """Return the requests so far that were neither watches nor leases, which time alone brings about."""
        text = b"".join([piece async for piece in self._api.stream("/metrics")]).decode()
        return sum(
            float(value)
            for labels, value in _REQUESTS.findall(text)
            if 'verb="WATCH"' not in labels and 'resource="leases"' not in labels
        )


async def _small(bench: Bench) -> None:
    for what, flow, nodes, go in (
        ("1 node", chain(1), 1, "0.3 to 1.3"),
        ("a chain of 10", chain(10), 10, "1.9 to 4.1"),
        ("100 beside each other", wide(100), 100, "9.6 to 14.7"),
    ):
        cost = await bench.run([bench.operators.lease(flow, f"small-{nodes}")])
        floor = await bench.floor(nodes, at_once=_AT_ONCE if nodes == 100 else 1)  # noqa: PLR2004 - the last of them
        _tell(what, cost, floor, nodes, f"Go FlytePropeller {go} s")


async def _many(bench: Bench, count: int) -> None:
    floor = await bench.floor(3 * count)
    cost = await bench.run([bench.operators.lease(chain(3), f"many-{number}") for number in range(count)])
    await bench.clear()
    _tell(f"{count} executions of 3 nodes", cost, floor, 3 * count, f"{60 * count / cost.seconds:.0f} a minute")


async def _growth(bench: Bench, few: int, many: int) -> None:
    """Compare what an execution costs among few and among many: nothing may grow faster than the work."""
    costs = []
    for kind, count in (("few", few), ("lots", many)):
        costs.append(await bench.run([bench.operators.lease(chain(3), f"{kind}-{number}") for number in range(count)]))
        await bench.clear()
    report(
        f"CPU per execution among {many} in times of that among {few}",
        (costs[1].cpu / many) / (costs[0].cpu / few),
        goal="goal: about 1",
        detail=f"{1000 * costs[0].cpu / few:.0f} and {1000 * costs[1].cpu / many:.0f} ms for each execution",
    )


async def _map(bench: Bench, items: int) -> None:
    floor = await bench.floor(items)
    await bench.clear()
    flow = Flow(name="map").map("m", {"x": integers(*range(items))}, outputs=())
    cost = await bench.run([bench.operators.lease(flow, "map")])
    await bench.clear()
    _tell(f"a map over {items}", cost, floor, items, f"{60 * items / cost.seconds:.0f} items a minute")


async def _long(bench: Bench, length: int) -> None:
    floor = await bench.floor(length, at_once=1)
    cost = await bench.run([bench.operators.lease(chain(length), "long")])
    _tell(f"a chain of {length}", cost, floor, length, f"{60 * length / cost.seconds:.0f} nodes a minute")


def _tell(what: str, cost: Cost, floor: Cost, nodes: int, more: str) -> None:
    clock, cpu = (
        1000 * (ours - least) / nodes for ours, least in ((cost.seconds, floor.seconds), (cost.cpu, floor.cpu))
    )
    report(
        f"{what}, in times of as many bare pods",
        cost.seconds / floor.seconds,
        goal=f"goal: {GOAL}",
        detail=f"{cost.seconds:.1f} s, floor {floor.seconds:.1f} s, {more}; {cost.cpu / floor.cpu:.2f} in CPU time; "
        f"beyond the pod's own {clock:.1f} ms and {cpu:.1f} ms of CPU per node, "
        f"{cost.requests / nodes:.1f} requests where the floor has {floor.requests / nodes:.1f}",
    )


def _pod(name: str, label: str) -> dict[str, Any]:
    """Return a pod of about the size of a task's."""
    resources = {"cpu": "10m", "memory": "16Mi"}
    container = {
        "name": name,
        "image": "image",
        "args": ["run", "--inputs", f"file:///objects/metadata/{name}/inputs.pb"],
        "env": [{"name": f"FLYTE_INTERNAL_{number}", "value": f"value-{number}"} for number in range(16)],
        "resources": {"requests": resources, "limits": resources},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container]}
    labels = {"floor": label, "project": "p", "domain": "d", "execution-id": name, "node-id": "n0", "task-name": "t"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def _cpu_seconds() -> float:
    """Return the CPU time so far of all processes below this one's session, and of the cluster that it started."""
    ticks = os.sysconf("SC_CLK_TCK")
    return sum(used for _, used in _processes()) / ticks


def _processes() -> Iterable[tuple[int, int]]:
    marker = os.environ["KUBECONFIG"].rpartition("/")[0]
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_text()
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if marker in command or int(entry.name) == os.getpid():
            yield int(entry.name), int(fields[11]) + int(fields[12])


def _peak_mib(pid: int) -> float:
    """Return the most memory that the process has had, as the kernel counts it."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / _MIB
