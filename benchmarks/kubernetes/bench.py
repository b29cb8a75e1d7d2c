"""The operator's work and the floor's, measured alike: the clock, CPU time of all processes, requests."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyteform.errors import UnavailableError
from flyteform_dataplane.kubernetes.informer import Informer
from support.operators import NAMESPACE

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence

    from flyteform.proto.flyteform.v1.link_pb2 import Lease
    from flyteform_dataplane.kubernetes.api import KubernetesApi
    from support.leasing import LeasingControl
    from support.operators import Operators

AT_ONCE = 16
_PATIENCE = 3600.0
_PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
_REQUESTS = re.compile(r"^apiserver_request_total\{(.*)\} (\S+)$", re.MULTILINE)
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """What pieces of work cost: seconds on the clock, CPU seconds, requests to the API server."""

    seconds: float
    cpu: float  # of all processes: the cluster's, the operator's, this one's
    operator: float  # the operator's CPU seconds alone
    requests: float

    def __add__(self, other: Cost) -> Cost:
        """Return what both cost together."""
        return Cost(
            self.seconds + other.seconds,
            self.cpu + other.cpu,
            self.operator + other.operator,
            self.requests + other.requests,
        )

    def __truediv__(self, times: int) -> Cost:
        """Return what one of so many pieces of work cost."""
        return Cost(self.seconds / times, self.cpu / times, self.operator / times, self.requests / times)


class Bench:
    """An operator and a client that makes bare pods, on one API server, one at a time."""

    def __init__(
        self,
        api: KubernetesApi,
        control: LeasingControl,
        operators: Operators,
        operator: subprocess.Popen[bytes],
    ) -> None:
        self._api = api
        self._control = control
        self._operator = operator
        self.operators = operators
        self._floors = 0
        self._pod: dict[str, Any] = {}

    async def warm_up(self, lease: Lease) -> None:
        """Run an execution; the pods of floors are like its pods, but for who owns them."""
        await self.run([lease])
        pod = (await self._api.get(_PODS, limit="1"))["items"][0]
        spec = {key: value for key, value in pod["spec"].items() if key != "nodeName"}
        metadata = {key: pod["metadata"][key] for key in ("labels", "annotations")}
        # A pod of nobody's: neither operators nor the collection of what has lost its owner have to do with it.
        del metadata["labels"]["app.kubernetes.io/managed-by"]
        self._pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        await self.clear()

    async def run(self, leases: Sequence[Lease]) -> Cost:
        """Lease executions and wait for their ends."""
        before = await self._now()
        self._control.offer(leases)
        names = [lease.id.name for lease in leases]
        ended = asyncio.ensure_future(self._control.until_ended(names, _PATIENCE))
        while not ended.done():
            await asyncio.wait([ended], timeout=1)
            if self._operator.poll() is not None:
                ended.cancel()
                raise SystemExit(f"the operator is gone\n{''.join(self.operators.said())}")
        await ended
        failed = [name for name in names if self._control.failures[name]]
        if failed:
            raise SystemExit(f"{failed[0]} failed: {self._control.failures[failed[0]]}")
        return await self._since(before)

    async def floor(self, count: int, *, at_once: int = AT_ONCE) -> Cost:
        """Make so many bare pods and wait for their ends; one at a time is made when the one before has ended."""
        self._floors += 1
        label, ended = f"floor-{self._floors}", asyncio.Queue[str]()

        def seen(pod: dict[str, Any], there: bool) -> None:
            if there and pod["status"].get("phase") == "Succeeded":
                ended.put_nowait(pod["metadata"]["name"])

        informer = Informer(self._api, _PODS, seen, selector=f"floor={label}")
        informer.start()
        await informer.synced()
        before = await self._now()
        waiting: dict[str, asyncio.Event] = {}
        slots = asyncio.Semaphore(at_once)

        async def one(name: str) -> None:
            async with slots:
                await self._api.create(_PODS, self._bare(name, label), metadata_only=True)
                if at_once == 1:
                    await waiting[name].wait()

        async def wake() -> None:
            for _ in range(count):
                waiting[await ended.get()].set()

        names = [f"{label}-{number}" for number in range(count)]
        waiting.update((name, asyncio.Event()) for name in names)
        await asyncio.gather(wake(), *(one(name) for name in names))
        cost = await self._since(before)
        await informer.stop()
        return cost

    async def clear(self) -> None:
        """Remove all pods: those of one measurement are no burden for the next."""
        while (await self._api.get_metadata(_PODS, limit="1"))["items"]:
            with contextlib.suppress(UnavailableError):  # many take longer than a request may
                await self._api.delete(_PODS, {"gracePeriodSeconds": 0})

    def peak_mib(self) -> float:
        """Return the most memory that the operator has had, as the kernel counts it."""
        status = Path(f"/proc/{self._operator.pid}/status").read_text().splitlines()
        (line,) = [line for line in status if line.startswith("VmHWM:")]
        return int(line.split()[1]) / _KIB

    def _bare(self, name: str, label: str) -> dict[str, Any]:
        pod = copy.copy(self._pod)
        metadata = self._pod["metadata"]
        pod["metadata"] = {**metadata, "name": name, "labels": {**metadata["labels"], "floor": label}}
        return pod

    async def _now(self) -> Cost:
        """Return what was used up to now."""
        used = dict(_processes())
        requests = await self._requests()
        return Cost(time.perf_counter(), sum(used.values()), used[self._operator.pid], requests)

    async def _since(self, before: Cost) -> Cost:
        seconds, used = time.perf_counter(), dict(_processes())
        requests = await self._requests()
        return Cost(
            seconds - before.seconds,
            sum(used.values()) - before.cpu,
            used[self._operator.pid] - before.operator,
            requests - before.requests,
        )

    async def _requests(self) -> float:
        """Return the requests so far that were neither watches nor leases, which time alone brings about."""
        text = b"".join([piece async for piece in self._api.stream("/metrics")]).decode()
        return sum(
            float(value)
            for labels, value in _REQUESTS.findall(text)
            if 'verb="WATCH"' not in labels and 'resource="leases"' not in labels
        )


def _processes() -> Iterator[tuple[int, float]]:
    """Yield the processes of this measurement with their CPU seconds so far: their commands name its folder."""
    marker, ticks = str(Path(os.environ["KUBECONFIG"]).parents[1]), os.sysconf("SC_CLK_TCK")
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_text()
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if marker in command or int(entry.name) == os.getpid():
            yield int(entry.name), (int(fields[11]) + int(fields[12])) / ticks
