"""Two control planes on one PostgreSQL: what both do together against one, and how soon each hears of a schedule."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
from flyteidl.admin import execution_pb2, launch_plan_pb2

from benchmarks.controlplane.load import Client, Round
from benchmarks.controlplane.requests import ADMIN, SUBJECTS, launch_plan, page
from benchmarks.controlplane.servers import Server, control_plane
from benchmarks.measure import report

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CLIENTS = 16
SECONDS = 0.6
CALLS = 2_000
ROUNDS = 3
# One that reads from memory, one that reads the database, a write, a launch, and what most calls are.
COMPARED = ("GetTask", "GetExecution", "CreateTask", "CreateExecution", "CreateTaskEvent")
PERIOD = 1.0
WAIT_SECONDS = 30.0


def two_against_one(folder: Path, url: str) -> None:
    """Print how many calls two processes answer in times of one, with as many clients, and what a call costs.

    `url` is an empty database's.
    """
    with control_plane(folder / "one", url) as one, control_plane(folder / "two", url) as two:
        servers = [one, two]
        clients = [Client(server.address) for server in servers]
        try:
            clients[0].prepare()
            for number, subject in enumerate(SUBJECTS):
                if subject.name.split()[0] in COMPARED:
                    _compare(subject.name, number, servers, clients)
        finally:
            for client in clients:
                client.close()
        _activation(servers)


def _compare(name: str, subject: int, servers: Sequence[Server], clients: Sequence[Client]) -> None:
    """Measure in turn, so that what else the machine does meets both alike."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    costs: dict[int, list[float]] = {1: [], 2: []}
    for client in clients:
        client.run(Round(subject, CLIENTS, 0.1, 100))
    for _ in range(ROUNDS):
        for processes in (1, 2):
            rate, cost = _round(subject, servers[:processes], clients[:processes])
            rates[processes].append(rate)
            costs[processes].append(cost)
    one, two = (statistics.median(rates[processes]) for processes in (1, 2))
    cpu = [statistics.median(costs[processes]) for processes in (1, 2)]
    report(
        f"PostgreSQL, {name}, two control planes in times of one, {CLIENTS} clients",
        two / one,
        goal="on two cores that the database and the clients share",
        detail=f"{one:.0f} and {two:.0f} calls/s; servers {cpu[0]:.3f} and {cpu[1]:.3f} ms of processor time a call",
    )


def _round(subject: int, servers: Sequence[Server], clients: Sequence[Client]) -> tuple[float, float]:
    before = sum(server.cpu_seconds() for server in servers)
    what = Round(subject, CLIENTS // len(clients), SECONDS, CALLS // len(clients))
    with ThreadPoolExecutor(len(clients)) as threads:
        results = list(threads.map(lambda client: client.run(what), clients))
    done = sum(len(result.latencies) for result in results)
    cpu = sum(server.cpu_seconds() for server in servers) - before
    return done / max(result.seconds for result in results), cpu * 1000 / done


def _activation(servers: Sequence[Server]) -> None:
    """Print how late a schedule begins and ends that is (de)activated through either replica; one of them fires it."""
    late, after = [], []
    for number, server in enumerate(servers):
        with grpc.insecure_channel(server.address) as channel:
            began, ended = _switched(channel, f"schedule{number}")
        late.append(began)
        after.append(ended)
    report(
        "PostgreSQL, a schedule of every second, later than it should through the worse of two replicas, in seconds",
        max(*late, *after),
        goal="goal: below 1",
        detail=f"begins {late[0]:.3f} and {late[1]:.3f} late, fires {after[0]:.3f} and {after[1]:.3f} after its end",
    )


def _switched(channel: grpc.Channel, version: str) -> tuple[float, float]:
    """Activate and deactivate; return by how much the first firing, and the last one, came too late."""
    request = launch_plan(version)
    request.id.name = version
    request.spec.fixed_inputs.literals["x"].scalar.primitive.integer = 1
    request.spec.default_inputs.Clear()
    request.spec.entity_metadata.schedule.cron_schedule.schedule = f"@every {PERIOD:.0f}s"
    channel.unary_unary(f"{ADMIN}CreateLaunchPlan")(request.SerializeToString())
    switch = channel.unary_unary(f"{ADMIN}UpdateLaunchPlan")

    def to(state: launch_plan_pb2.LaunchPlanState) -> float:
        update = launch_plan_pb2.LaunchPlanUpdateRequest(id=request.id, state=state)
        switch(update.SerializeToString())
        return time.time()

    active_at = to(launch_plan_pb2.ACTIVE)
    until = time.monotonic() + WAIT_SECONDS
    while not (fired := _firings(channel, version)):
        if time.monotonic() > until:
            raise RuntimeError(f"{version} did not fire")
        time.sleep(0.02)
    inactive_at = to(launch_plan_pb2.INACTIVE)
    # Whatever fires too late does so in the meantime.
    time.sleep(2 * PERIOD)
    created, due = min(fired)
    # Later than its own time, or so late that earlier times were left out.
    late = max(created - due, created - active_at - PERIOD)
    return late, max(0.0, max(_firings(channel, version))[0] - inactive_at)


def _firings(channel: grpc.Channel, name: str) -> list[tuple[float, float]]:
    """Return when each execution of the launch plan was created, and when it was due."""
    request = page()
    request.filters = f"eq(launch_plan.name,{name})"
    answer = channel.unary_unary(f"{ADMIN}ListExecutions")(request.SerializeToString())
    listed = execution_pb2.ExecutionList.FromString(answer).executions
    times = ((one.closure.created_at, one.spec.metadata.scheduled_at) for one in listed)
    return [(created.ToNanoseconds() / 1e9, due.ToNanoseconds() / 1e9) for created, due in times]
