"""Whom pods reach in each cloud, by the recorded network policies: what they cannot work without, and nothing dear."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from support.recording.stacks import Recordings

CONTROL_PLANE = ("prod-controlplane", "flyteform", "controlplane")
RELEASE = ("prod-controlplane", "flyteform", "release")
DATA_PLANE = ("prod-dataplane-main", "flyteform-dataplane", "dataplane")
AZURE_DATA_PLANE = ("prod-dataplane-azure", "flyteform-dataplane", "dataplane")
TASKS = ("prod-dataplane-main", "fraud-production", "")
AZURE_TASKS = ("prod-dataplane-azure", "fraud-production", "")
# A cloud, whose pods, an address and a port, and whether it is reached.
EGRESS = [
    # Buckets and services of identity have public addresses, whatever way the packets take.
    ("aws", CONTROL_PLANE, "52.218.0.1", 443, True),
    ("aws", CONTROL_PLANE, "169.254.170.23", 80, True),
    ("aws", CONTROL_PLANE, "169.254.169.254", 80, False),
    ("aws", CONTROL_PLANE, "10.66.240.10", 5432, True),
    ("aws", CONTROL_PLANE, "52.218.0.1", 5432, False),
    ("aws", RELEASE, "10.66.241.10", 5432, True),
    ("aws", DATA_PLANE, "169.254.170.23", 80, True),
    ("aws", DATA_PLANE, "10.66.240.10", 5432, False),
    ("aws", TASKS, "169.254.170.23", 80, True),
    ("aws", TASKS, "169.254.169.254", 80, False),
    ("gcp", CONTROL_PLANE, "142.250.0.1", 443, True),
    ("gcp", CONTROL_PLANE, "169.254.169.254", 80, True),
    ("gcp", CONTROL_PLANE, "10.66.192.3", 5432, True),
    ("gcp", DATA_PLANE, "169.254.169.254", 80, True),
    # In its place GKE has a server that knows the pod: without it tasks were nobody.
    ("gcp", TASKS, "169.254.169.254", 80, True),
    ("azure", CONTROL_PLANE, "20.190.128.1", 443, True),
    ("azure", CONTROL_PLANE, "169.254.169.254", 80, False),
    # Its control plane is in another cloud, behind that one's gateway.
    ("azure", AZURE_DATA_PLANE, "3.248.0.1", 443, True),
    ("azure", AZURE_DATA_PLANE, "3.248.0.1", 5432, False),
    ("azure", AZURE_TASKS, "169.254.169.254", 80, False),
    ("onprem", CONTROL_PLANE, "169.254.169.254", 80, False),
]
# Whether the control plane is reached at HTTP from an address: Google's balancers are no pods.
INGRESS = [
    ("gcp", "35.191.0.9", True),
    ("gcp", "130.211.1.9", True),
    ("gcp", "10.66.130.9", False),
    ("aws", "35.191.0.9", False),
]
HTTP = 8088


def rules(recordings: Recordings, cloud: str, who: tuple[str, str, str], way: str) -> list[dict[str, Any]]:
    """Return the rules of a way (egress, ingress) that hold for a component's pods; there has to be a policy."""
    stack, namespace, component = who
    found = []
    for each in recordings.shipped(cloud, stack).of("NetworkPolicy"):
        selected = each.at("spec.podSelector.matchLabels") or {}
        labels = {"app.kubernetes.io/name": "flyteform", "app.kubernetes.io/component": component}
        if each.at("metadata.namespace") == namespace and selected.items() <= labels.items():
            found.append(each.at(f"spec.{way}") or [])
    assert found, f"{cloud}/{stack} has no policy for {component} in {namespace}"
    return [rule for each in found for rule in each]


def matches(rule: dict[str, Any], peers: str, address: str, port: int) -> bool:
    """Tell whether a rule allows an address and port."""
    ports = [each["port"] for each in rule.get("ports") or ()]
    return (not ports or port in ports) and any(_within(peer, address) for peer in rule.get(peers) or ())


def _within(peer: dict[str, Any], address: str) -> bool:
    block = peer.get("ipBlock")
    if not block:
        return False
    inside = [ipaddress.ip_network(each) for each in (block["cidr"], *(block.get("except") or ()))]
    found = ipaddress.ip_address(address)
    return found in inside[0] and not any(found in each for each in inside[1:])


@pytest.mark.parametrize(("cloud", "who", "address", "port", "reached"), EGRESS)
def test_egress(
    recordings: Recordings, cloud: str, who: tuple[str, str, str], address: str, port: int, *, reached: bool
) -> None:
    """Pods reach buckets, databases and who they are; nobody's node, and no database that is not theirs."""
    found = rules(recordings, cloud, who, "egress")
    assert any(matches(rule, "to", address, port) for rule in found) is reached


@pytest.mark.parametrize(("cloud", "address", "reached"), INGRESS)
def test_ingress(recordings: Recordings, cloud: str, address: str, *, reached: bool) -> None:
    """The gateway reaches the control plane, where it is no pod, too; other addresses do not."""
    found = rules(recordings, cloud, CONTROL_PLANE, "ingress")
    assert any(matches(rule, "from", address, HTTP) for rule in found) is reached


@pytest.mark.parametrize("cloud", ["aws", "gcp", "onprem"])
def test_gateway(recordings: Recordings, cloud: str) -> None:
    """There is one way in, whose gateway may be the cloud's own: both protocols have routes to the control plane."""
    graph = recordings.shipped(cloud, "prod-controlplane")
    assert graph.one("Gateway").at("spec.gatewayClassName")
    route = graph.one("HTTPRoute", "flyteform-httproute")
    ports = {each["backendRefs"][0]["port"] for each in route.at("spec.rules")}
    assert ports == {8088, 8089}


def test_cloud_gateway(recordings: Recordings) -> None:
    """Google's gateway is reached by its reserved address, and has no field that it does not know."""
    graph = recordings.shipped("gcp", "prod-controlplane")
    assert graph.one("Gateway").at("spec.addresses") == [{"type": "NamedAddress", "value": "flyteform-prod-edge"}]
    assert graph.one("Gateway").at("spec.listeners[1].tls") is None
    assert "timeouts" not in str(graph.one("HTTPRoute", "flyteform-httproute").inputs)
    assert graph.one("GCPBackendPolicy").at("spec.default.timeoutSec") == 86400
