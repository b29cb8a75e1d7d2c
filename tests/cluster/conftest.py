"""Which clusters these tests run on, and which of them may run at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.simulated import started

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.simulated import Simulated

# They need an API server and no pods that run: they share a cluster with simulated nodes.
API_ONLY = (
    "test_dry_run",
    "test_leases",
    "test_onprem_lifecycle",
    "test_pod_security",
    "test_sync",
    "test_workflow_log",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests run beside each other that are on different clusters, and one after the other those that are on one."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_cluster_of(item)))


def _cluster_of(item: pytest.Item) -> str:
    """Return the one with pods, around all tests, unless it is that of `API_ONLY` or the file starts its own."""
    if item.path.stem in API_ONLY:
        return "api"
    module = item.getparent(pytest.Module)
    return item.path.stem if module is not None and hasattr(module.obj, "simulated") else "pods"


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """Run the cluster of `API_ONLY`, in the process that has these tests."""
    with started(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def _cluster(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have kubectl and clients find the cluster that the tests of a file are for."""
    if request.path.stem in API_ONLY:
        with request.getfixturevalue("api").entered():
            yield
    else:
        yield
