"""Which clusters these tests run on, and which of them may run at the same time."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadScopeScheduling

from support.kubernetes import kubectl
from support.leasing import LeasingControl
from support.operators import NAMESPACE, Operators, install, uninstall
from support.simulated import simulated, started

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from xdist.remote import Producer

    from support.simulated import Simulated

logger = logging.getLogger(__name__)

# They need an API server and no pods that run: they share a cluster with simulated nodes.
API_ONLY = (
    "test_dry_run",
    "test_leases",
    "test_onprem_lifecycle",
    "test_pod_security",
    "test_sync",
    "test_workflow_log",
)
# They start simulated clusters of their own, and break things in them.
ALONE = ("test_faults", "test_hostile_objects", "test_operators", "test_roles", "test_two_clusters")


class ByCluster(LoadScopeScheduling):  # type: ignore[misc]
    """Runs tests beside each other that are on different clusters, and one after the other those that are on one."""

    def _split_scope(self, nodeid: str) -> str:
        """Return the cluster of a test; the one with pods, around all tests, unless it is known to need another."""
        file = Path(nodeid.partition("::")[0]).stem
        if file in API_ONLY:
            return "api"
        return file if file in ALONE else "pods"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByCluster:
    """Have the processes of `--dist loadscope` share the tests by clusters."""
    return ByCluster(config, log)


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """Run the cluster of `API_ONLY`, in the process that has these tests."""
    with started(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """Run a cluster whose pods do nothing, with the definition and the namespace that operators need."""
    with simulated(tmp_path_factory.mktemp("cluster")) as running:
        install()
        yield running


@pytest.fixture
async def control() -> AsyncIterator[LeasingControl]:
    """Run a control plane that only leases."""
    async with LeasingControl().serving() as running:
        yield running


@pytest.fixture
def operators(cluster: Simulated, control: LeasingControl, tmp_path: Path) -> Iterator[Operators]:
    """Return what starts operators; nothing of theirs is left afterwards."""
    running = Operators(tmp_path, control.address, kubeconfig=cluster.kubeconfig)
    yield running
    running.stop()
    logger.info("\n".join((*running.said(), kubectl("get", "pods,flyteworkflows", f"--namespace={NAMESPACE}"))))
    uninstall()
    kubectl("wait", f"namespace/{NAMESPACE}", "--for=delete", "--timeout=60s")
    install()


@pytest.fixture(scope="module", autouse=True)
def _cluster(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have kubectl and clients find the cluster that the tests of a file are for."""
    if request.path.stem in API_ONLY:
        with request.getfixturevalue("api").entered():
            yield
    else:
        yield
