"""An operator: one of several that share the executions of a cluster, one of which is linked to the control plane."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from flyteform.errors import UnavailableError
from flyteform.objects import open_store
from flyteform_dataplane.assembly import Plane, running
from flyteform_dataplane.executors import Executors
from flyteform_dataplane.health import Health
from flyteform_dataplane.kubernetes.api import connect
from flyteform_dataplane.kubernetes.collection import Collector
from flyteform_dataplane.kubernetes.executor import PodExecutor
from flyteform_dataplane.kubernetes.leases import LeaseSettings, Membership
from flyteform_dataplane.kubernetes.limits import RequestLimits
from flyteform_dataplane.kubernetes.plugin import PodPlugin
from flyteform_dataplane.kubernetes.podlogs import PodLogs
from flyteform_dataplane.kubernetes.probes import probed
from flyteform_dataplane.kubernetes.scopes import Namespaces
from flyteform_dataplane.kubernetes.sync import ServerSideApplier
from flyteform_dataplane.kubernetes.workflows.log import WorkflowLog
from flyteform_dataplane.kubernetes.workflows.shards import Shards
from flyteform_dataplane.plugins.echo import EchoPlugin
from flyteform_dataplane.plugins.registry import Registry
from flyteform_dataplane.sync.syncer import ResourceSyncer

if TYPE_CHECKING:
    from flyteform_dataplane.kubernetes.api import KubernetesApi
    from flyteform_dataplane.kubernetes.settings import OperatorSettings
    from flyteform_dataplane.plugins.ports import Connectors

logger = logging.getLogger(__name__)

# A write costs the API server more than anybody gains by seeing a pod run so much earlier.
_FOLD = 1.0
_PAUSE = 1.0  # seconds before a beginning that failed is tried again


async def operate(settings: OperatorSettings) -> None:
    """Take a share of the work of all operators of the cluster until cancelled, and begin again if that fails.

    Cancelled, it ends its work, gives back what it has and leaves all pods as they are for the others.
    """
    limits = RequestLimits(settings.kube_api_qps, settings.kube_api_burst)
    # Renewing a lease must not wait behind the requests of many executions.
    health = Health()
    async with (
        contextlib.nullcontext() if settings.health_port is None else probed(health, settings.health_port),
        connect(settings.kubeconfig, limits) as api,
        connect(settings.kubeconfig) as lease_api,
    ):
        while True:
            try:
                await _work(settings, api, lease_api, health)
            except UnavailableError as error:
                logger.warning("the work has to begin again: %s", error.message)
                await asyncio.sleep(_PAUSE)


async def _work(settings: OperatorSettings, api: KubernetesApi, lease_api: KubernetesApi, health: Health) -> None:
    """Run the executions of the shards that fall to this operator until cancelled; the pods go on."""
    objects = open_store(settings.objects)
    held: dict[int, int] = {}
    namespaces = Namespaces(settings.limit_namespaces)
    log = WorkflowLog(api, objects, shards=lambda: held, namespaces=namespaces)
    shards = Shards(api, log, held, namespaces)
    pods = PodExecutor(api, settings.profile, namespaces=namespaces, owner=log.uid)
    plane = Plane(
        cluster=settings.cluster,
        control_plane=settings.control_plane,
        objects=objects,
        log=log,
        executors=lambda jobs: Executors(jobs, pods=pods),
        opened=(pods,),
        plugins=_plugins,
        logs=settings.state_dir,
        connectors=settings.connectors,
        token_file=settings.token_file,
        executions=shards.intake,
        attempt_logs=PodLogs(api),
        kubernetes_version=str((await api.get("/version")).get("gitVersion", "")),
        resources=ResourceSyncer(ServerSideApplier(api, namespaces)) if settings.resource_sync else None,
        fold_seconds=_FOLD,
        ahead=True,
        console_url=settings.console_url,
        finalize=settings.profile.delete_resource_on_finalize,
    )
    lease = LeaseSettings(settings.namespace, settings.lease, settings.identity)
    async with running(plane) as parts:
        await shards.open(parts.link)
        collecting = asyncio.create_task(Collector(api, lambda: held, settings.retention, namespaces=namespaces).run())
        membership = Membership(lease_api, lease, shards, namespaces=namespaces)
        live = (membership, shards, pods, parts.link, parts.reporter)
        ready = (membership.obstacle, shards.obstacle)
        try:
            with health.working([part.ailment for part in live], ready):
                await membership.run()
        finally:
            collecting.cancel()
            await shards.close()


def _plugins(connectors: Connectors | None) -> Registry:
    pod = PodPlugin()
    return Registry((pod, EchoPlugin()), default=pod, connectors=connectors)
