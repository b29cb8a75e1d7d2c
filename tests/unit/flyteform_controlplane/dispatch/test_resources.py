"""What clusters shall have: templates filled in by project, domain and cluster, sent until each cluster has it."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest
from flyteidl.admin.matchable_resource_pb2 import ClusterResourceAttributes, MatchingAttributes
from flyteidl.admin.project_domain_attributes_pb2 import (
    ProjectDomainAttributes,
    ProjectDomainAttributesUpdateRequest,
)
from flyteidl.admin.project_pb2 import Project, ProjectRegisterRequest
from flyteidl.service.admin_pb2_grpc import AdminServiceStub
from hypothesis import given
from hypothesis import strategies as st

from flyteform.errors import InvalidInputError
from flyteform.proto.flyteform.v1 import clusters_pb2 as pb
from flyteform.proto.flyteform.v1 import link_pb2
from flyteform_controlplane.dispatch.resources import ClusterResources
from flyteform_controlplane.domain.cluster_resources import ClusterResourcesConfig, Template, desired
from flyteform_controlplane.domain.config import AdminConfig
from flyteform_controlplane.server import ControlPlane
from flyteform_controlplane.settings import ControlPlaneSettings
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.sql.store import SqlStore
from support.dispatch import FakeDataPlane
from support.two_clusters import Clusters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping
    from pathlib import Path

DOMAINS = ("development", "staging", "production")
QUOTA = Template.parse(
    "quota",
    """
apiVersion: v1
kind: ResourceQuota
metadata:
  name: project-quota
  namespace: {{ namespace }}
spec:
  hard:
    limits.cpu: {{ projectQuotaCpu }}
""",
)


def cpu(
    platform: str = "",
    *,
    domain: str = "",
    cluster: str = "",
    attributes: str = "",
) -> list[str]:
    """Return the quota of cpu that a project and domain get when it is set in these places."""

    def one(value: str) -> dict[str, str]:
        return {"projectQuotaCpu": value} if value else {}

    config = ClusterResourcesConfig((QUOTA,), one(platform), {"development": one(domain)})
    found = desired(config, "east", one(cluster), [("p", "development")], {("p", "development"): one(attributes)})
    return [json.loads(text)["spec"]["hard"]["limits.cpu"] for text in found.resources]


def test_the_most_particular_value_counts() -> None:
    """What is set for project and domain, then for the cluster, then for the domain, then for the platform."""
    assert cpu("1") == ["1"]
    assert cpu("1", domain="2") == ["2"]
    assert cpu("1", domain="2", cluster="3") == ["3"]
    assert cpu("1", domain="2", cluster="3", attributes="4") == ["4"]


def test_a_value_that_nobody_sets_is_a_problem_of_its_namespace() -> None:
    """The others are made all the same, and the problem says what to set."""
    config = ClusterResourcesConfig((QUOTA,), {}, {"production": {"projectQuotaCpu": "8"}})
    found = desired(config, "east", {}, [("p", "development"), ("p", "production")], {})
    assert len(found.resources) == 1
    assert found.problems == (("quota for p-development", "no value is set for projectQuotaCpu"),)


def test_without_templates_there_are_namespaces_and_what_has_values() -> None:
    """Flyte's names of values bring a quota with them; nothing is asked of who sets none."""
    config = ClusterResourcesConfig()
    quota = {"projectQuotaCpu": "4", "projectQuotaMemory": "8Gi"}
    found = desired(config, "east", {}, [("p", "d"), ("q", "d")], {("q", "d"): quota})
    kinds = [(one["kind"], one["metadata"]["name"]) for one in map(json.loads, found.resources)]
    assert kinds == [("Namespace", "p-d"), ("Namespace", "q-d"), ("ResourceQuota", "project-quota")]


@given(st.text(), st.text())
def test_no_value_makes_another_resource_or_field(quota: str, project: str) -> None:
    """Whatever a user sets stays inside its text."""
    values = {("p", "d"): {"projectQuotaCpu": quota, "project": project}}
    (text,) = desired(ClusterResourcesConfig((QUOTA,)), "c", {}, [("p", "d")], values).resources
    assert json.loads(text) == {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "project-quota", "namespace": "p-d"},
        "spec": {"hard": {"limits.cpu": quota}},
    }


@pytest.mark.parametrize("text", ["[", "a: b", "- x", "text"])
def test_what_is_no_template_is_refused_by_name(text: str) -> None:
    """The operator is told which file it is."""
    with pytest.raises(InvalidInputError, match="the template mine"):
        Template.parse("mine", text)


@pytest.mark.parametrize("steps", range(6))
async def test_it_stops_whenever_it_is_told_to(tmp_path: Path, steps: int) -> None:
    """Also when the order comes together with a wake, at whichever step of the event loop that is."""
    database = Database(f"sqlite:///{tmp_path}/control.db")
    resources = ClusterResources(database, SqlStore(), ClusterResourcesConfig(), DOMAINS, list)
    await resources.start()
    for _ in range(5):
        await asyncio.sleep(0)
    resources.look()
    for _ in range(steps):
        await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await resources.stop()
    await database.close()


class Platform:
    """A control plane whose clusters keep resources."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.admin: Any = AdminServiceStub(channel)
        self.operator = Clusters(channel)
        self.channel = channel

    async def connect(self, cluster: str) -> FakeDataPlane:
        """Register a data plane that applies resources."""
        plane = FakeDataPlane(self.channel)
        await plane.send(register=link_pb2.Register(cluster=cluster, keeps_resources=True))
        assert (await plane.next()).WhichOneof("message") == "registered"
        return plane

    async def set(self, project: str, values: Mapping[str, str]) -> None:
        """Set attributes of a project in one domain."""
        matching = MatchingAttributes(cluster_resource_attributes=ClusterResourceAttributes(attributes=values))
        attributes = ProjectDomainAttributes(project=project, domain="development", matching_attributes=matching)
        await self.admin.UpdateProjectDomainAttributes(ProjectDomainAttributesUpdateRequest(attributes=attributes))


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    """Run a control plane with quotas in its templates."""
    values = {"projectQuotaCpu": "1"}
    resources = ClusterResourcesConfig((QUOTA,), values, interval=timedelta(milliseconds=20))
    async with (
        running(tmp_path, AdminConfig(cluster_resources=resources)) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield Platform(channel)


@asynccontextmanager
async def running(folder: Path, admin: AdminConfig) -> AsyncIterator[str]:
    """Run a control plane for the length of the block."""
    control_plane = ControlPlane(ControlPlaneSettings(state_dir=folder, grpc_port=0, http_port=0, admin=admin))
    addresses = await control_plane.start()
    try:
        yield addresses.grpc
    finally:
        await control_plane.stop()


async def wanted(plane: FakeDataPlane, namespaces: int = 3) -> link_pb2.ResourceSync:
    """Return the next set of resources that has these."""
    while True:
        message = await plane.next()
        assert message.WhichOneof("message") == "resource_sync"
        if len(message.resource_sync.resources) == namespaces:
            return message.resource_sync


def quotas(resources: Iterable[str]) -> dict[str, str]:
    """Return the quotas by namespace."""
    found = [json.loads(text) for text in resources]
    return {one["metadata"]["namespace"]: one["spec"]["hard"]["limits.cpu"] for one in found}


async def test_each_cluster_is_told_and_judged_for_itself(platform: Platform) -> None:
    """One that succeeds makes the other none the better; a later report of success makes it right."""
    east, west = await platform.connect("east"), await platform.connect("west")
    to_east, to_west = await wanted(east), await wanted(west)
    assert quotas(to_east.resources) == dict.fromkeys((f"flytesnacks-{each}" for each in DOMAINS), "1")
    error = pb.SyncError(resource="ResourceQuota/flytesnacks-staging/project-quota", message="forbidden")
    await east.send(sync_report=link_pb2.SyncReport(hash=to_east.hash, applied=3))
    await west.send(sync_report=link_pb2.SyncReport(hash=to_west.hash, applied=2, errors=[error]))
    await platform.operator.until("east", lambda found: found.sync.in_sync)
    failed = await platform.operator.until("west", lambda found: found.sync.hash == to_west.hash)
    assert (failed.sync.in_sync, list(failed.sync.errors)) == (False, [error])
    await west.send(sync_report=link_pb2.SyncReport(hash=to_west.hash, applied=3))
    await platform.operator.until("west", lambda found: found.sync.in_sync)


async def test_changes_are_sent_to_all_and_old_reports_count_for_nothing(platform: Platform) -> None:
    """New attributes, values of a cluster and projects reach the clusters; what they had is no longer in sync."""
    plane = await platform.connect("east")
    first = await wanted(plane)
    await plane.send(sync_report=link_pb2.SyncReport(hash=first.hash, applied=3))
    await platform.operator.until("east", lambda found: found.sync.in_sync)
    await platform.set("flytesnacks", {"projectQuotaCpu": "7"})
    second = await wanted(plane)
    assert quotas(second.resources)["flytesnacks-development"] == "7"
    await platform.operator.until("east", lambda found: not found.sync.in_sync)
    await plane.send(sync_report=link_pb2.SyncReport(hash=first.hash, applied=3))
    await platform.operator.put("east", template_values={"projectQuotaCpu": "5"})
    third = await wanted(plane)
    assert quotas(third.resources)["flytesnacks-staging"] == "5"
    assert not (await platform.operator.get("east")).sync.in_sync
    await platform.admin.RegisterProject(ProjectRegisterRequest(project=Project(id="new", name="new")))
    assert quotas((await wanted(plane, 6)).resources)["new-production"] == "5"


async def test_who_keeps_no_resources_is_told_of_none(platform: Platform) -> None:
    """An embedded data plane has no namespaces."""
    quiet, told = FakeDataPlane(platform.channel), await platform.connect("told")
    await quiet.register("quiet")
    await wanted(told)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await quiet.next()
