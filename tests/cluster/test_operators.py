"""Operators on a real API server with simulated nodes: they share the work, and obey what the control plane says."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import urllib.error
import urllib.request
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flyteidl.core.execution_pb2 import WorkflowExecution

from flyteform_dataplane.kubernetes.api import connect
from flyteform_dataplane.kubernetes.collection import Collector, Retention
from flyteform_dataplane.kubernetes.sharding import LINK, SHARDS, Roster
from support.kubernetes import get, kubectl
from support.leasing import LeasingControl
from support.operators import NAMESPACE, Operators, chain, lasting
from support.platform import wait_until

if TYPE_CHECKING:
    from support.simulated import Simulated

SUCCEEDED, ABORTED = WorkflowExecution.SUCCEEDED, WorkflowExecution.ABORTED
PATIENCE = 120.0


def resources() -> dict[str, dict[str, Any]]:
    """Return the FlyteWorkflows by name."""
    listed = json.loads(kubectl("get", "flyteworkflows", f"--namespace={NAMESPACE}", "--output=json"))
    return {item["metadata"]["name"]: item for item in listed["items"]}


def pods(*arguments: str) -> list[str]:
    """Return the names of pods."""
    return kubectl("get", "pods", f"--namespace={NAMESPACE}", "--output=name", *arguments).split()


def roster() -> Roster:
    """Return what the operators know of each other."""
    lease = get("lease", "flyteform-operator")
    return Roster.load(lease["metadata"]["annotations"]["flyteform.dev/roster"])


def two_share() -> bool:
    """Whether both operators have half of the shards each."""
    try:
        counts = [len(roster().held_by(name).keys() - {LINK}) for name in ("operator-1", "operator-2")]
    except AssertionError:  # no lease yet
        return False
    return counts == [SHARDS // 2, SHARDS // 2]


@pytest.mark.timeout(400)
async def test_two_share_the_work_and_hand_it_over(operators: Operators, control: LeasingControl) -> None:
    """Executions of both run to their ends, also those whose operator leaves in the middle."""
    for _ in range(2):
        operators.start()
    await asyncio.to_thread(wait_until, two_share, seconds=60, what="two operators share the shards")
    leases = [operators.lease(chain(3), f"c{number}") for number in range(24)]
    for lease in leases:
        lease.spec.annotations.values["simulated/seconds"] = "1s"
    names = [lease.id.name for lease in leases]
    control.offer(leases)
    await asyncio.to_thread(wait_until, pods, seconds=60, what="there is a pod")
    first = operators.running[0]
    first.terminate()
    await control.until_ended(names, PATIENCE)
    assert {control.phases[name] for name in names} == {SUCCEEDED}
    assert first.wait(timeout=30) == 0
    assert all("termination-status" in item["metadata"]["labels"] for item in resources().values())
    assert len(pods()) == 3 * len(names)


@pytest.mark.timeout(400)
async def test_aborts_and_revocations_reach_whoever_has_the_execution(
    operators: Operators, control: LeasingControl
) -> None:
    """Half of the executions are not the linked operator's: aborted all end, revoked all vanish, with their pods."""
    for _ in range(2):
        operators.start()
    await asyncio.to_thread(wait_until, two_share, seconds=60, what="two operators share the shards")
    aborted, revoked = [[f"{kind}{number}" for number in range(8)] for kind in "ar"]
    control.offer(lasting(operators, name) for name in (*aborted, *revoked))
    await asyncio.to_thread(
        wait_until,
        lambda: len(pods("--field-selector=status.phase=Running")) == 2 * 16,
        seconds=PATIENCE,
        what="all pods run",
    )
    for name in aborted:
        control.abort(name, "enough of it")
    for name in revoked:
        control.revoke(name)
    await control.until_ended(aborted, PATIENCE)
    assert {control.phases[name] for name in aborted} == {ABORTED}
    await asyncio.to_thread(wait_until, lambda: not pods(), seconds=60, what="no pod is left")
    await asyncio.to_thread(
        wait_until, lambda: sorted(resources()) == aborted, seconds=60, what="what was revoked is gone"
    )
    assert control.ends.keys() == set(aborted)


@pytest.mark.timeout(400)
async def test_what_is_asked_for_while_nobody_is_linked_is_done_later(
    operators: Operators, control: LeasingControl
) -> None:
    """Aborted and revoked while their operator was dead, executions end with its successor, and no pod is left."""
    killed = operators.start(identity="same")
    control.offer(lasting(operators, name) for name in ("aborted", "revoked"))
    running = "--field-selector=status.phase=Running"
    await asyncio.to_thread(wait_until, lambda: len(pods(running)) == 4, seconds=PATIENCE, what="all pods run")
    await asyncio.to_thread(operators.kill, killed)
    control.abort("aborted", "enough of it")
    control.revoke("revoked")
    operators.start(identity="same")
    await control.until_ended(["aborted"], PATIENCE)
    assert control.phases == {"aborted": ABORTED}
    await asyncio.to_thread(wait_until, lambda: not pods(), seconds=60, what="no pod is left")
    gone = "what was revoked is gone"
    await asyncio.to_thread(wait_until, lambda: list(resources()) == ["aborted"], seconds=60, what=gone)


@pytest.mark.timeout(400)
async def test_a_deleted_resource_aborts_its_execution(operators: Operators, control: LeasingControl) -> None:
    """`kubectl delete flyteworkflow` ends the pods, tells the control plane why, and only then lets the resource go."""
    operators.start()
    control.offer([lasting(operators, "gone")])
    await asyncio.to_thread(
        wait_until, lambda: pods("--field-selector=status.phase=Running"), seconds=PATIENCE, what="a pod runs"
    )
    await asyncio.to_thread(kubectl, "delete", "flyteworkflow", "gone", f"--namespace={NAMESPACE}", "--timeout=60s")
    await control.until_ended(["gone"], PATIENCE)
    assert control.phases["gone"] == ABORTED
    assert "was deleted" in control.failures["gone"]
    await asyncio.to_thread(wait_until, lambda: not pods(), seconds=60, what="no pod is left")


@pytest.mark.timeout(400)
async def test_finished_resources_are_collected(operators: Operators, control: LeasingControl) -> None:
    """What is too old goes with its pods; what is young, what still runs and what is another's stays."""
    operators.start()
    control.offer([operators.lease(chain(1), f"f{number}") for number in range(4)])
    control.offer([lasting(operators, "runs")])
    await control.until_ended([f"f{number}" for number in range(4)], PATIENCE)
    async with connect(Path(os.environ["KUBECONFIG"])) as api:
        shards = dict.fromkeys(range(SHARDS), 1)
        young = Collector(api, lambda: shards, Retention(timedelta(hours=1)))
        assert await young.collect() == 0
        assert await Collector(api, dict, Retention(timedelta(0), 0)).collect() == 0
        later = Collector(
            api, lambda: shards, Retention(timedelta(hours=1)), now=lambda: datetime.now(UTC) + timedelta(hours=2)
        )
        assert await later.collect() == 4
    assert list(resources()) == ["runs"]
    await asyncio.to_thread(wait_until, lambda: len(pods()) == 2, seconds=60, what="their pods are gone")


@pytest.mark.timeout(400)
async def test_a_lost_link_is_no_reason_to_start_anew(cluster: Simulated, tmp_path: Path, operators: Operators) -> None:
    """An operator is ready once it has its lease and a link; without the link it is not ready, and alive."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    folder = tmp_path / "linked"
    folder.mkdir()
    control = LeasingControl()
    serving = AsyncExitStack()
    await serving.enter_async_context(control.serving())
    linked = Operators(folder, control.address, kubeconfig=cluster.kubeconfig)
    linked.start(f"--health-port={port}")
    try:
        await asyncio.to_thread(
            wait_until, lambda: probed(port, "readyz") == (200, "ok"), seconds=PATIENCE, what="it is ready"
        )
        assert probed(port, "livez") == (200, "ok")
        await serving.aclose()
        lost = (503, "there is no link to the control plane")
        await asyncio.to_thread(
            wait_until, lambda: probed(port, "readyz") == lost, seconds=PATIENCE, what="it is not ready"
        )
        assert probed(port, "livez") == (200, "ok")
    finally:
        linked.stop()
        await serving.aclose()
    assert not operators.running


def probed(port: int, path: str) -> tuple[int, str]:
    """Return what an operator answers about its health; 0 where nobody listens yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""
