"""An operator: elected first, then linked to the control plane, running executions as pods."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from flyteform.errors import UnavailableError
from flyteform.objects import open_store
from flyteform_dataplane.assembly import Plane, working
from flyteform_dataplane.executors import Executors
from flyteform_dataplane.kubernetes.api import connect
from flyteform_dataplane.kubernetes.executor import PodExecutor
from flyteform_dataplane.kubernetes.leases import Leadership, LeaseSettings
from flyteform_dataplane.kubernetes.plugin import PodPlugin
from flyteform_dataplane.kubernetes.workflows.log import WorkflowLog
from flyteform_dataplane.plugins.echo import EchoPlugin
from flyteform_dataplane.plugins.registry import Registry

if TYPE_CHECKING:
    from flyteform_dataplane.kubernetes.api import KubernetesApi
    from flyteform_dataplane.kubernetes.settings import OperatorSettings
    from flyteform_dataplane.plugins.ports import Connectors

logger = logging.getLogger(__name__)

_PAUSE = 1.0  # seconds before a beginning that failed is tried again


async def operate(settings: OperatorSettings) -> None:
    """Take part in the election and work while elected, until cancelled; a lost lease is tried for again.

    Cancelled, it ends its work, gives the lease back and leaves all pods as they are for its successor.
    """
    async with connect(settings.kubeconfig) as api:
        lease = LeaseSettings(settings.namespace, settings.lease, settings.identity)
        while True:
            try:
                await Leadership(api, lease).run(lambda: _work(settings, api))
            except UnavailableError as error:
                logger.warning("the work has to begin again: %s", error.message)
                await asyncio.sleep(_PAUSE)


async def _work(settings: OperatorSettings, api: KubernetesApi) -> None:
    """Run executions until cancelled; the pods go on."""
    objects = open_store(settings.objects)
    pods = PodExecutor(api, settings.profile)
    plane = Plane(
        cluster=settings.cluster,
        control_plane=settings.control_plane,
        objects=objects,
        log=WorkflowLog(api, objects),
        executors=lambda jobs: Executors(jobs, pods=pods),
        opened=(pods,),
        plugins=_plugins,
        logs=settings.state_dir,
        connectors=settings.connectors,
        token_file=settings.token_file,
    )
    async with working(plane):
        await asyncio.Event().wait()


def _plugins(connectors: Connectors | None) -> Registry:
    pod = PodPlugin()
    return Registry((pod, EchoPlugin()), default=pod, connectors=connectors)
