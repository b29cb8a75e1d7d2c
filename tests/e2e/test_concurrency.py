"""Concurrency policies with a real data plane."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from flyteidl.admin.common_pb2 import NamedEntityIdentifier

from flyteform.proto.flyteform.v1 import policies_pb2
from flyteform.proto.flyteform.v1.policies_pb2_grpc import LaunchPlanPolicyServiceStub
from support.platform import running, wait_until

if TYPE_CHECKING:
    from support.platform import Platform

WORKFLOW = Path(__file__).parent / "workflows" / "napping.py"
SCOPE = "flytesnacks/development"


def launch(platform: Platform, name: str, seconds: float) -> None:
    """Launch the workflow."""
    launched = platform.run(
        "run", "--remote", "--no-wait", "--name", name, str(WORKFLOW), "nap", "--seconds", str(seconds)
    )  # fmt: skip
    assert launched.returncode == 0, launched.stderr


def limit(platform: Platform, behavior: policies_pb2.ConcurrencyBehavior) -> None:
    """Allow the workflow's launch plan one execution at a time."""
    plans = json.loads(platform.get(f"/api/v1/launch_plans/{SCOPE}?limit=9"))["launch_plans"]
    (name,) = {plan["id"]["name"] for plan in plans}
    request = policies_pb2.SetLaunchPlanPolicyRequest(
        id=NamedEntityIdentifier(project="flytesnacks", domain="development", name=name)
    )
    request.policy.concurrency.max, request.policy.concurrency.behavior = 1, behavior
    with grpc.insecure_channel(platform.grpc) as channel:
        LaunchPlanPolicyServiceStub(channel).SetLaunchPlanPolicy(request, timeout=10)


def closure(platform: Platform, name: str) -> Any:
    """Return an execution's closure as REST tells it."""
    return json.loads(platform.get(f"/api/v1/executions/{SCOPE}/{name}"))["closure"]


def span(platform: Platform, name: str) -> tuple[datetime, datetime]:
    """Return when an execution started and ended."""
    found = closure(platform, name)
    start = datetime.fromisoformat(found["started_at"])
    return start, start + timedelta(seconds=float(found["duration"].removesuffix("s")))


def test_executions_take_turns_over_a_restart_and_replace_each_other(tmp_path: Path) -> None:
    """WAIT runs one after the other, also after a kill -9 in the middle; REPLACE aborts the one that runs."""
    with running(tmp_path) as platform:
        launch(platform, "first", 0.0)
        limit(platform, policies_pb2.CONCURRENCY_BEHAVIOR_WAIT)
        for name, seconds in (("second", 8.0), ("third", 0.2), ("fourth", 0.0)):
            launch(platform, name, seconds)
        assert closure(platform, "fourth")["phase"] == "QUEUED"
        platform.kill_tree()
        platform.start()
        names = ("second", "third", "fourth")
        done = lambda: all(closure(platform, name)["phase"] == "SUCCEEDED" for name in names)  # noqa: E731 - a condition
        wait_until(done, seconds=60, what="all have had their turns")
        spans = [span(platform, name) for name in names]
        for (_, before), (after, _) in pairwise(spans):
            assert before <= after

        limit(platform, policies_pb2.CONCURRENCY_BEHAVIOR_REPLACE)
        launch(platform, "long", 60.0)
        wait_until(lambda: closure(platform, "long")["phase"] == "RUNNING", seconds=30, what="it runs")
        launch(platform, "newer", 0.0)
        wait_until(lambda: closure(platform, "newer")["phase"] == "SUCCEEDED", seconds=30, what="the newer one ends")
        assert closure(platform, "long")["phase"] == "ABORTED"
        assert "replaced by a newer execution" in closure(platform, "long")["abort_metadata"]["cause"]
