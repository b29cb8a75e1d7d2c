"""Overhead per process-isolated task on the embedded platform: a chain, a map over 1,000 items, many executions.

A chain is 40 tasks of 10 ms one after the other; 100 executions of three such tasks begin at once. With `--peers`
Prefect, Dagster and Airflow do the same in the same run, each as it is installed from PyPI (`benchmarks/peers.py`).
Then come workflows of echo tasks, which need no process (`benchmarks/echo.py`). Nobody watches the progress meanwhile.

The floor, in the same run: a process forked from a warm parent that reads and durably writes a small file, which is
what any platform that isolates tasks by process has to pay.
"""

from __future__ import annotations

import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from flyteidl.admin.common_pb2 import NamedEntityIdentifier, ResourceListRequest
from flyteidl.admin.execution_pb2 import ExecutionCreateRequest, ExecutionSpec
from flyteidl.core.execution_pb2 import WorkflowExecution
from flyteidl.core.literals_pb2 import Literal, LiteralCollection, LiteralMap, Primitive, Scalar
from flyteidl.service.admin_pb2_grpc import AdminServiceStub

from benchmarks.echo import measure_echo
from benchmarks.measure import report
from benchmarks.peers import PEERS, measure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.peers import Peer

SUBJECTS = Path(__file__).parent / "subjects"
FLYTEFORM = str(Path(sys.executable).with_name("flyteform"))
PROJECT, DOMAIN = "flytesnacks", "development"
_SUCCEEDED, _FAILED, _ABORTED = WorkflowExecution.SUCCEEDED, WorkflowExecution.FAILED, WorkflowExecution.ABORTED
CHAIN = 40
ITEMS = 1000
ROUNDS = 5
GOAL_MS = 10.0
NAP_MS = 10.0
EXECUTIONS = 100


def main() -> None:
    """Print the overhead per task and how many floors that is; with `--peers`, how many times faster than others."""
    floor_ms = floor_seconds(200) * 1000
    with tempfile.TemporaryDirectory() as folder, platform(Path(folder)) as addresses:
        ours = [
            _chains(addresses, floor_ms),
            _maps(addresses, floor_ms),
            _executions(addresses),
        ]
        measure_echo(addresses["grpc"])
    if "--peers" in sys.argv:
        for peer in PEERS:
            _beside(peer, ours)


def _chains(addresses: dict[str, Any], floor_ms: float) -> float:
    _register("naps", ())
    rounds = [at_once(addresses["grpc"], "naps") for _ in range(ROUNDS)]
    return _tell(f"chain of {CHAIN} tasks", [seconds * 1000 / CHAIN - NAP_MS for seconds in rounds], floor_ms)


def _maps(addresses: dict[str, Any], floor_ms: float) -> float:
    _register("fan_out", ("--xs", json.dumps(list(range(ITEMS)))))
    items = [Literal(scalar=Scalar(primitive=Primitive(integer=index))) for index in range(ITEMS)]
    inputs = LiteralMap(literals={"xs": Literal(collection=LiteralCollection(literals=items))})
    rounds = [at_once(addresses["grpc"], "fan_out", inputs=inputs) for _ in range(ROUNDS)]
    return _tell(f"map over {ITEMS} items", [seconds * 1000 / ITEMS for seconds in rounds], floor_ms)


def _tell(what: str, per_task: list[float], floor_ms: float) -> float:
    middle = statistics.median(per_task)
    report(
        f"{what}, overhead per task as a share of the goal of {GOAL_MS:.0f} ms",
        middle / GOAL_MS,
        goal="goal: below 1",
        detail=f"{middle / floor_ms:.1f} times the floor (fork, read, durable write); ms per task: median "
        f"{middle:.1f}, least {min(per_task):.1f}, most {max(per_task):.1f}, floor {floor_ms:.1f}",
    )
    return middle


def _executions(addresses: dict[str, Any]) -> float:
    """Start many executions at once and wait for all; the tasks of 10 ms among them run beside each other."""
    _register("three", ())
    seconds = at_once(addresses["grpc"], "three", EXECUTIONS)
    each = seconds * 1000 / EXECUTIONS
    report(
        f"{EXECUTIONS} executions of three tasks at once, per task as a share of the goal of {GOAL_MS:.0f} ms",
        each / 3 / GOAL_MS,
        goal="goal: below 1",
        detail=f"{seconds:.1f} s in all, {each:.1f} ms for each execution",
    )
    return each


def _beside(peer: Peer, ours: list[float]) -> None:
    figures = measure(peer)
    theirs = (figures.chain, figures.item, figures.execution)
    for what, mine, other in zip(("task of a chain", "item of a map", "execution of three"), ours, theirs, strict=True):
        if other is None:
            print(f"{peer.package}, {what}: not measured, {figures.trouble}", flush=True)
            continue
        returned = (
            "" if other.returned is None else f" (its caller goes on after {other.returned:.1f}, before it is known)"
        )
        report(
            f"{peer.package} ({peer.how}), {what}, how many times longer than here",
            other.known / mine,
            goal="goal: above 1",
            detail=f"ms: {other.known:.1f} there{returned}, {mine:.1f} here",
        )


def at_once(endpoint: str, workflow: str, count: int = 1, *, inputs: LiteralMap | None = None) -> float:
    """Return the seconds from the start of the first execution to the end of the last, as the platform tells them."""
    prefix = f"m{secrets.token_hex(6)}"
    with grpc.insecure_channel(endpoint) as channel:
        admin = AdminServiceStub(channel)
        plan = admin.ListLaunchPlans(
            ResourceListRequest(
                id=NamedEntityIdentifier(project=PROJECT, domain=DOMAIN, name=f"many_tasks.{workflow}"), limit=1
            )
        ).launch_plans[0]
        spec = ExecutionSpec(launch_plan=plan.id)

        def create(number: int) -> None:
            name = f"{prefix}{number}"
            request = ExecutionCreateRequest(project=PROJECT, domain=DOMAIN, name=name, spec=spec, inputs=inputs)
            admin.CreateExecution(request)

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(create, range(count)))
        filters = f"contains(execution_name,{prefix})"
        while True:
            listed = ResourceListRequest(
                id=NamedEntityIdentifier(project=PROJECT, domain=DOMAIN), limit=count, filters=filters
            )
            closures = [execution.closure for execution in admin.ListExecutions(listed).executions]
            failed = [closure for closure in closures if closure.phase in (_FAILED, _ABORTED)]
            if failed:
                raise SystemExit(f"an execution failed: {failed[0].error.message}")
            if len(closures) == count and all(closure.phase == _SUCCEEDED for closure in closures):
                break
            time.sleep(0.05)
    begun = min(closure.created_at.ToNanoseconds() for closure in closures)
    return (max(closure.updated_at.ToNanoseconds() for closure in closures) - begun) / 1e9


def floor_seconds(rounds: int) -> float:
    """Return the median time in which a forked process reads and durably writes a small file and is waited for."""
    import flyteform.run

    flyteform.run.preload()
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "inputs.pb"
        inputs.write_bytes(b"x" * 100)
        for number in range(rounds):
            started = time.perf_counter()
            pid = os.fork()
            if pid == 0:
                with (Path(folder) / f"outputs{number}.pb").open("wb") as file:
                    file.write(inputs.read_bytes())
                    file.flush()
                    os.fsync(file.fileno())
                os._exit(0)
            os.waitpid(pid, 0)
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


@contextmanager
def platform(folder: Path) -> Iterator[dict[str, Any]]:
    """Run the embedded platform; yield its addresses; point the commands that follow at it."""
    command = [FLYTEFORM, "dev", "--grpc-port=0", "--http-port=0", f"--state-dir={folder / 'state'}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    addresses = folder / "state" / "platform.json"
    try:
        while not addresses.exists():
            if process.poll() is not None:
                raise SystemExit((folder / "log").read_text())
            time.sleep(0.05)
        found = json.loads(addresses.read_text())
        os.environ.update(FLYTEFORM_ENDPOINT=found["grpc"], FLYTEFORM_INSECURE="true")
        yield found
    finally:
        process.terminate()
        process.wait(timeout=30)


def _register(workflow: str, arguments: tuple[str, ...]) -> None:
    """Run the workflow once as a user would: it is registered then, and the warm template has started."""
    command = [FLYTEFORM, "run", "--remote", "many_tasks.py", workflow, *arguments]
    subprocess.run(command, cwd=SUBJECTS, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)
