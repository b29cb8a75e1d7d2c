"""Alerts are about what there is: metrics that running processes export, and objects that stacks make."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest
from flyteidl.admin.project_pb2 import ProjectGetRequest
from flyteidl.service.admin_pb2_grpc import AdminServiceStub
from prometheus_client.parser import text_string_to_metric_families

from flyteform_controlplane.server import ControlPlane
from flyteform_controlplane.settings import ControlPlaneSettings
from flyteform_dataplane.link import LinkClient, Place
from support.recording.stacks import clouds, shipped

if TYPE_CHECKING:
    from pathlib import Path

    from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

    from support.recording.graph import Graph
    from support.recording.stacks import Recordings

# What Prometheus itself knows of a target, and what kube-state-metrics exports, with the labels that they have.
OTHERS = {
    "up": {"job"},
    "kube_deployment_status_replicas_available": {"namespace", "deployment"},
    "kube_pod_container_status_restarts_total": {"namespace", "pod", "container"},
    "kube_pod_container_resource_limits": {"namespace", "pod", "container", "resource", "unit"},
    "kube_horizontalpodautoscaler_status_current_replicas": {"namespace", "horizontalpodautoscaler"},
    "kube_horizontalpodautoscaler_spec_max_replicas": {"namespace", "horizontalpodautoscaler"},
    "kube_job_failed": {"namespace", "job_name", "condition"},
}
# A metric with what is asked of its labels.
SELECTED = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^}]*)\}")
ASKED = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')


def alerts(graph: Graph) -> list[dict[str, Any]]:
    """Return all alerts of a stack."""
    groups = [group for each in graph.of("PrometheusRule") for group in each.at("spec.groups")]
    return [rule for group in groups for rule in group["rules"]]


def selected(graph: Graph) -> list[tuple[str, dict[str, str]]]:
    """Return the metrics that a stack's alerts look at, with what they ask of labels."""
    found = [each for rule in alerts(graph) for each in SELECTED.findall(rule["expr"])]
    return [(name, dict(ASKED.findall(labels))) for name, labels in found]


class Idle:
    """Takes no executions."""

    def held(self) -> list[WorkflowExecutionIdentifier]:
        """Return none."""
        return []


async def scraped(address: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Return what a control plane exports: labels and values by the names of samples."""

    def read() -> str:
        with urllib.request.urlopen(f"{address}/metrics") as response:  # noqa: S310 - our own server
            return str(response.read().decode())

    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(await asyncio.to_thread(read)):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def links(exported: dict[str, list[tuple[dict[str, str], float]]]) -> float:
    """Return how many links are open, as the alert counts them."""
    chosen = [value for labels, value in exported["grpc_server_in_flight"] if "DataPlaneLink" in labels["grpc_service"]]
    return sum(chosen)


async def test_metrics_are_exported(recordings: Recordings, tmp_path: Path) -> None:
    """A control plane that serves exports each metric that is asked of it, with the labels; an open link is counted."""
    control_plane = ControlPlane(ControlPlaneSettings(tmp_path, grpc_port=0, http_port=0))
    addresses = await control_plane.start()
    try:
        async with grpc.aio.insecure_channel(addresses.grpc) as channel:
            await AdminServiceStub(channel).GetProject(ProjectGetRequest(id="flytesnacks"))
            link = LinkClient(channel, Idle(), Place("one"))  # type: ignore[arg-type]
            link.start()
            async with asyncio.timeout(60):
                while not link.is_connected:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.01)
            exported = await scraped(addresses.http)
            assert links(exported) == 1
            await link.stop()
            async with asyncio.timeout(60):
                while links(exported) != 0:
                    exported = await scraped(addresses.http)
    finally:
        await control_plane.stop()
    # The scrape adds them.
    target = {"job", "namespace", "pod"}
    for name, labels in selected(recordings.shipped("onprem", "prod-controlplane").check()):
        if name not in OTHERS:
            assert labels["job"] == "flyteform"
            assert name in exported, f"no process exports {name}"
            has = exported[name][0][0].keys() | target
            assert labels.keys() <= has, f"{name} has no {labels.keys() - has}"


@pytest.mark.parametrize("cloud", clouds())
def test_objects_are_there(recordings: Recordings, cloud: str) -> None:
    """Alerts of production name Deployments, Jobs, autoscalers and containers that the same stack makes."""
    for stack in shipped(cloud):
        graph = recordings.shipped(cloud, stack).check()
        made = {kind: _named(graph, kind) for kind in ("Deployment", "Job", "HorizontalPodAutoscaler")}
        spaces = {each.at("metadata.name") for each in graph.of("Namespace")}
        for name, labels in selected(graph):
            assert labels.keys() <= OTHERS.get(name, labels.keys()), name
            assert labels.get("namespace", next(iter(spaces))) in spaces
            place = labels.get("namespace", "")
            if "deployment" in labels:
                assert (place, labels["deployment"]) in made["Deployment"]
            if "job_name" in labels:
                assert any(re.fullmatch(labels["job_name"], job) for space, job in made["Job"] if space == place)
            if name.startswith("kube_horizontal"):
                assert [space for space, _ in made["HorizontalPodAutoscaler"]] == [place]


def test_planes_have_alerts(recordings: Recordings) -> None:
    """Each plane has critical alerts of its own, and every alert says what to look at first."""
    for stack, name in (("prod-controlplane", "FlyteformDown"), ("prod-dataplane-main", "FlyteformOperatorDown")):
        found = {rule["alert"]: rule for rule in alerts(recordings.shipped("onprem", stack))}
        assert found[name]["labels"] == {"severity": "critical"}
        assert all(rule["annotations"].keys() == {"summary", "description"} for rule in found.values())
        assert all(rule["expr"].count("(") == rule["expr"].count(")") for rule in found.values())


def _named(graph: Graph, kind: str) -> set[tuple[str, str]]:
    return {(each.at("metadata.namespace"), each.at("metadata.name")) for each in graph.of(kind)}
