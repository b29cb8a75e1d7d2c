"""Plan and apply of many workflows: seconds, calls, memory, and the same calls made bare in the same run.

The floor sends what apply and plan have sent, as bytes, from a loop that decides nothing and builds no message:
registrations into another domain, lists as they were.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyteidl.core.identifier_pb2 import Identifier

from benchmarks.embedded import platform
from benchmarks.measure import report
from flyteform.client.admin import AdminClient
from flyteform.client.calls import Caller
from flyteform.client.channel import open_channel
from flyteform.client.config import resolve
from flyteform.provision.digest import messages_in
from flyteform.provision.provisioner import apply_plan, make_plan
from flyteform.provision.state_file import FileStateStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import grpc.aio
    from google.protobuf.message import Message

WORKFLOWS = 1000
TASKS_EACH = 5
PER_MODULE = 10
CONCURRENCY = 16
PLAN_GOAL, APPLY_GOAL = 5.0, 30.0  # seconds for 1,000 workflows of 5 tasks
ROUNDS = 3
_SMALL_SHARE = 10  # memory is held against that of a tenth of the declaration

Call = tuple[str, str, "Message"]


@dataclass(frozen=True, slots=True)
class RecordingCaller(Caller):
    """Makes calls, and keeps what was sent."""

    kept: list[Call] = field(default_factory=list)

    async def call(self, service: str, method: str, request: Message, response: type[Any]) -> Any:
        """Keep a copy, as pages reuse their request."""
        copy = type(request)()
        copy.CopyFrom(request)
        self.kept.append((service, method, copy))
        return await Caller.call(self, service, method, request, response)


def main() -> None:
    """Measure with `--workflows=N`, 1,000 by default."""
    given = [word.partition("=")[2] for word in sys.argv if word.startswith("--workflows=")]
    count = int(given[-1]) if given else WORKFLOWS
    with tempfile.TemporaryDirectory() as folder, platform(Path(folder)):
        asyncio.run(_measure(Path(folder), count))


async def _measure(folder: Path, count: int) -> None:
    few = write_declaration(folder / "few", max(count // _SMALL_SHARE, 1))
    many = write_declaration(folder / "many", count)
    config = resolve()
    channel = await open_channel(config)
    caller = RecordingCaller(channel, config.endpoint)
    client = AdminClient(config, caller)
    try:
        await _apply(few, client, folder / "few.json")
        memory = {count // _SMALL_SHARE: _megabytes()}
        caller.kept.clear()
        seconds = await _apply(many, client, folder / "many.json")
        registered = [call for call in caller.kept if call[1].startswith("Create")]
        floor = await _replay(channel, _moved(registered))
        _report_apply(count, seconds, floor, Counter(method for _, method, _ in caller.kept))
        memory[count] = _megabytes()
        await _unchanged(many, client, caller, folder / "many.json", count)
        per_resource = (memory[count] - memory[count // _SMALL_SHARE]) * 1024 / (count * (TASKS_EACH + 2) * 0.9)
        print(f"    memory: {memory} MB by workflows, {per_resource:.1f} KiB for each further resource", flush=True)
    finally:
        await channel.close()


def write_declaration(folder: Path, workflows: int) -> Path:
    """Write modules of 10 workflows with 5 tasks each."""
    folder.mkdir(parents=True)
    for first in range(0, workflows, PER_MODULE):
        lines = ["from flyteform import task, workflow", ""]
        for number in range(first, min(first + PER_MODULE, workflows)):
            for step in range(TASKS_EACH):
                lines += ["@task", f"def t{number}_{step}(x: int) -> int:", f"    return x + {step}", ""]
            lines += ["@workflow", f"def w{number}(x: int = 1) -> int:", "    y0 = x"]
            lines += [f"    y{step + 1} = t{number}_{step}(x=y{step})" for step in range(TASKS_EACH)]
            lines += [f"    return y{TASKS_EACH}", ""]
        (folder / f"{folder.name}_{first}.py").write_text("\n".join(lines))
    return folder


async def _apply(path: Path, client: AdminClient, state: Path) -> float:
    store = FileStateStore(state)
    started = time.perf_counter()
    plan = await make_plan(path, client, store)
    result = await apply_plan(plan, client, store)
    seconds = time.perf_counter() - started
    failed = [str(outcome.error) for outcome in result.outcomes if outcome.error is not None]
    if failed:
        raise RuntimeError(f"{len(failed)} steps failed, the first: {failed[0]}")
    return seconds


async def _unchanged(path: Path, client: AdminClient, caller: RecordingCaller, state: Path, count: int) -> None:
    seconds, floors, busy = [], [], []
    for _ in range(ROUNDS):
        caller.kept.clear()
        started, worked = time.perf_counter(), time.process_time()
        plan = await make_plan(path, client, FileStateStore(state))
        seconds.append(time.perf_counter() - started)
        busy.append(time.process_time() - worked)
        if plan.has_changes:
            raise RuntimeError(f"an unchanged declaration plans {len(plan.steps)} steps")
        sent = list(caller.kept)
        floors.append(await _replay(caller.channel, sent))
    goal = PLAN_GOAL * count / WORKFLOWS
    calls = Counter(method for _, method, _ in sent)
    report(
        f"plan of {count} unchanged workflows, as a share of {goal:.1f} s",
        min(seconds) / goal,
        goal="goal: below 1",
        detail=f"{min(seconds):.2f} s (rounds: {_list(seconds)}; CPU: {_list(busy)}); "
        f"{min(seconds) / min(floors):.1f} times the same "
        f"{len(sent)} calls made bare ({min(floors):.2f} s): {_counts(calls)}",
    )


def _report_apply(count: int, seconds: float, floor: float, calls: Counter[str]) -> None:
    goal = APPLY_GOAL * count / WORKFLOWS
    report(
        f"plan and apply of {count} new workflows, as a share of {goal:.1f} s",
        seconds / goal,
        goal="goal: below 1",
        detail=f"{seconds:.2f} s; {seconds / floor:.1f} times its registrations made bare ({floor:.2f} s): "
        f"{_counts(calls)}",
    )


def _moved(calls: Iterable[Call]) -> list[Call]:
    """Return the calls as they would be for another domain, and registrations in an order in which they can be made."""
    order = ("CreateUploadLocation", "CreateTask", "CreateWorkflow", "CreateLaunchPlan")
    found = []
    for service, method, request in sorted(calls, key=lambda call: order.index(call[1])):
        for message in messages_in(request):
            if isinstance(message, Identifier):
                message.domain = "staging"
        found.append((service, method, request))
    return found


async def _replay(channel: grpc.aio.Channel, calls: Sequence[Call]) -> float:
    """Send the calls again, as bytes; each method after the one before, as many at a time as the client sends."""
    packed = [(f"/{service}/{method}", request.SerializeToString()) for service, method, request in calls]
    slots = asyncio.Semaphore(CONCURRENCY)
    bare: Any = channel.unary_unary

    async def send(path: str, request: bytes) -> None:
        async with slots:
            await bare(path)(request)

    started = time.perf_counter()
    for path in dict.fromkeys(path for path, _ in packed):
        await asyncio.gather(*(send(each, request) for each, request in packed if each == path))
    return time.perf_counter() - started


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _list(seconds: Iterable[float]) -> str:
    return ", ".join(f"{each:.2f}" for each in seconds)


def _counts(calls: Counter[str]) -> str:
    return ", ".join(f"{number} {method}" for method, number in sorted(calls.items()))
