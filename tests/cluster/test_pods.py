"""The test cluster is a real one: its pods run, fail, talk to each other's names and stay within their limits."""

from __future__ import annotations

import http.server
import threading
from typing import TYPE_CHECKING

import pytest

from support.kubernetes import ended, kubectl, pod

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGE = "localhost/python:test"


@pytest.fixture
def named(request: pytest.FixtureRequest) -> Iterator[str]:
    """Name a pod, which is deleted afterwards."""
    name = request.node.name.removeprefix("test_").replace("_", "-")
    yield name
    kubectl("delete", "pod", name, "--ignore-not-found", "--now")


def test_a_pod_runs_to_its_end(named: str) -> None:
    """Python runs in a pod, and its output is the pod's log."""
    kubectl("apply", "-f", "-", given=pod(named, "python3", "-c", "print(6 * 7)", image=IMAGE))
    assert ended(named)["status"]["phase"] == "Succeeded"
    assert kubectl("logs", named).strip() == "42"


def test_an_exit_code_is_told(named: str) -> None:
    """A program that fails leaves its exit code."""
    kubectl("apply", "-f", "-", given=pod(named, "python3", "-c", "exit(3)", image=IMAGE))
    state = ended(named)["status"]["containerStatuses"][0]["state"]
    assert state["terminated"]["exitCode"] == 3


def test_memory_is_limited(named: str) -> None:
    """Who takes more memory than its limit is killed for it."""
    limits = {"limits": {"memory": "48Mi"}}
    kubectl("apply", "-f", "-", given=pod(named, "python3", "-c", "b'x' * 10**9", image=IMAGE, resources=limits))
    state = ended(named)["status"]["containerStatuses"][0]["state"]
    assert state["terminated"]["reason"] == "OOMKilled"


def test_a_pod_reaches_servers_of_the_tests(named: str) -> None:
    """`host.cluster.test` is where a test's own server is, found by the cluster's DNS."""
    server = http.server.HTTPServer(("10.88.0.1", 0), http.server.SimpleHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        code = f"import urllib.request as u; print(u.urlopen('http://host.cluster.test:{server.server_port}').status)"
        kubectl("apply", "-f", "-", given=pod(named, "python3", "-c", code, image=IMAGE))
        assert ended(named)["status"]["phase"] == "Succeeded"
        assert kubectl("logs", named).strip() == "200"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
