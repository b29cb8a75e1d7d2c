"""An operator put together: elected first, then linked to the control plane, running executions as pods."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from importlib.metadata import version
from typing import TYPE_CHECKING

from flyteform.errors import UnavailableError
from flyteform.objects import open_store
from flyteform_dataplane.admin import AdminClient
from flyteform_dataplane.catalog import DataCatalogClient
from flyteform_dataplane.channel import open_channel
from flyteform_dataplane.clock import SystemClock
from flyteform_dataplane.connectors.directory import Directory
from flyteform_dataplane.connectors.jobs import JobExecutor
from flyteform_dataplane.executors import Executors
from flyteform_dataplane.kubernetes.api import connect
from flyteform_dataplane.kubernetes.executor import PodExecutor
from flyteform_dataplane.kubernetes.leases import Leadership, LeaseSettings
from flyteform_dataplane.kubernetes.plugin import PodPlugin
from flyteform_dataplane.kubernetes.workflows.log import WorkflowLog
from flyteform_dataplane.link import LinkClient
from flyteform_dataplane.plugins.echo import EchoPlugin
from flyteform_dataplane.plugins.registry import Registry
from flyteform_dataplane.report import EventReporter
from flyteform_dataplane.runner import Runner, RunnerConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flyteform_dataplane.kubernetes.api import KubernetesApi
    from flyteform_dataplane.kubernetes.settings import OperatorSettings


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
    async with _working(settings, api):
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def _working(settings: OperatorSettings, api: KubernetesApi) -> AsyncIterator[None]:
    """Run executions until the context ends; the pods go on."""
    async with contextlib.AsyncExitStack() as stack:
        channel = await stack.enter_async_context(open_channel(settings.control_plane, settings.token_file))
        objects = open_store(settings.objects)
        clock = SystemClock()
        connectors = Directory(settings.connectors)
        stack.push_async_callback(connectors.close)
        jobs = JobExecutor(connectors, objects, settings.state_dir, clock.now)
        pods = PodExecutor(api, settings.profile)
        reporter = EventReporter(channel)
        plugin = PodPlugin()
        runner = Runner(
            WorkflowLog(api, objects),
            objects,
            Executors(jobs, pods=pods),
            DataCatalogClient(channel, objects),
            reporter,
            AdminClient(channel),
            clock,
            RunnerConfig(
                cluster=settings.cluster,
                plugins=Registry(
                    (plugin, EchoPlugin()), default=plugin, connectors=connectors if settings.connectors else None
                ),
            ),
        )
        link = LinkClient(channel, runner, cluster=settings.cluster, version=version("flyteform"))
        runner.on_finished(link.finished)
        await pods.open()
        await jobs.open()
        stack.push_async_callback(runner.stop)
        stack.push_async_callback(jobs.close)
        stack.push_async_callback(pods.close)
        reporter.start()
        stack.push_async_callback(reporter.stop)
        await runner.start()
        link.start()
        stack.push_async_callback(link.stop)
        yield
