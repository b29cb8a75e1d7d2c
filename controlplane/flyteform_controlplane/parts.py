"""The services and duties of a control plane, each given the ports that it needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol

from flyteidl.cacheservice import cacheservice_pb2
from flyteidl.datacatalog import datacatalog_pb2
from flyteidl.service import admin_pb2, agent_pb2, auth_pb2, dataproxy_pb2, identity_pb2, signal_pb2

from flyteform.proto.flyteform.v1 import clusters_pb2, events_pb2, link_pb2, logs_pb2, policies_pb2, state_pb2
from flyteform_controlplane.dispatch.cluster_objects import ClusterObjects
from flyteform_controlplane.dispatch.dispatcher import Dispatcher
from flyteform_controlplane.dispatch.leases import LeaseBuilder
from flyteform_controlplane.dispatch.questions import Questions
from flyteform_controlplane.dispatch.resources import ClusterResources
from flyteform_controlplane.scheduler.scheduler import Scheduler
from flyteform_controlplane.services.admin import AdminService
from flyteform_controlplane.services.agents import AgentService
from flyteform_controlplane.services.auth_metadata import AuthMetadataService, LoginConfig
from flyteform_controlplane.services.cache import CacheService
from flyteform_controlplane.services.catalog import CatalogService
from flyteform_controlplane.services.clusters import ClusterService
from flyteform_controlplane.services.dataproxy import DataProxyService
from flyteform_controlplane.services.event_batch import EventService
from flyteform_controlplane.services.executions import prepare_lists
from flyteform_controlplane.services.given_up import GivenUp
from flyteform_controlplane.services.identity import IdentityService
from flyteform_controlplane.services.launch_plan_policies import LaunchPlanPolicyService
from flyteform_controlplane.services.link import LinkService
from flyteform_controlplane.services.logs import LogService
from flyteform_controlplane.services.signals import SignalService
from flyteform_controlplane.services.states import StateService
from flyteform_controlplane.services.waiting_line import WaitingLine
from flyteform_controlplane.store.counting import BlockCounting
from flyteform_controlplane.store.kept_objects import KeptObjects
from flyteform_controlplane.store.leadership import Leadership
from flyteform_controlplane.store.notices import Notices, Topic
from flyteform_controlplane.transport.methods import Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.descriptor import FileDescriptor

    from flyteform.objects.ports import ObjectStore
    from flyteform_controlplane.dispatch.config import DispatchConfig
    from flyteform_controlplane.domain.config import AdminConfig
    from flyteform_controlplane.domain.dispatches import DispatchRecord
    from flyteform_controlplane.domain.ports import Launcher
    from flyteform_controlplane.scheduler.scheduler import SchedulerConfig
    from flyteform_controlplane.store.database import Database


# The word of another replica that has died right after its transaction is never said.
_SHARED_POLL_INTERVAL = timedelta(seconds=2)


class Duty(Protocol):
    """Something that the control plane does by itself, beside answering calls."""

    async def start(self) -> None:
        """Begin; returns at once."""
        ...

    async def stop(self) -> None:
        """End; returns when nothing of it runs any more."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What is served, and what runs beside it in the order of its start."""

    services: tuple[Service, ...]
    duties: tuple[Duty, ...]


@dataclass(frozen=True, slots=True)
class Databases:
    """Where everything lies, and where the data catalog's does: it may be the same one."""

    admin: Database
    catalog: Database


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who is told what the parts find out.

    `connected` is told whether any data plane is connected to this process, `reached` whether the database answers,
    `onboarded` that other keys may be pinned for clusters now.
    """

    connected: Callable[[bool], None]
    reached: Callable[[bool], None]
    onboarded: Callable[[], None] = lambda: None


def assemble(
    databases: Databases,
    objects: ObjectStore,
    config: AdminConfig,
    *,
    login: LoginConfig,
    scheduling: SchedulerConfig,
    dispatching: DispatchConfig,
    listeners: Listeners,
) -> Parts:
    """Build all parts around their databases and one object store; nothing is started.

    `login` is what clients are told about it.
    """
    database = databases.admin
    notices = Notices(database, listeners.reached)

    def look_at_clusters() -> None:
        listeners.onboarded()
        resources.look()

    def clusters_changed() -> None:
        look_at_clusters()
        notices.say(Topic.CLUSTERS)
        dispatcher.wake()

    questions = Questions(
        database,
        lambda cluster: dispatcher.connection(cluster),  # noqa: PLW0108 - it is made below
        lambda: dispatcher.connected(),  # noqa: PLW0108 - as above
        tell=lambda: notices.say(Topic.QUESTIONS),
    )
    notices.listen(Topic.QUESTIONS, questions.look)
    stores = ClusterObjects(objects, database, questions)
    kept = KeptObjects(database, stores)

    async def give_up(record: DispatchRecord, message: str) -> None:
        await GivenUp(admin.events).end_unreadable(record, message)

    dispatcher = Dispatcher(
        database,
        kept,
        dispatching,
        connected=listeners.connected,
        tell=lambda: notices.say(Topic.DISPATCH),
        give_up=give_up,
        leases=LeaseBuilder(database, kept, config, stores),
    )
    notices.listen(Topic.DISPATCH, dispatcher.look)
    # It is made below: it and the scheduler need each other.
    scheduler, leadership = _scheduler(database, lambda: admin, scheduling, notices)
    admin = AdminService(database, kept, dispatcher, scheduler, config)
    resources = ClusterResources(
        database,
        admin.backend.store,
        config.cluster_resources,
        config.domain_ids,
        dispatcher.connections,
    )
    notices.listen(Topic.CLUSTERS, look_at_clusters)
    services = (
        _service(admin_pb2.DESCRIPTOR, "AdminService", admin),
        _service(signal_pb2.DESCRIPTOR, "SignalService", SignalService(admin.backend)),
        _service(
            dataproxy_pb2.DESCRIPTOR,
            "DataProxyService",
            DataProxyService(kept, admin, max_expiry=config.max_upload_expiry),
        ),
        _service(
            datacatalog_pb2.DESCRIPTOR,
            "DataCatalog",
            CatalogService(databases.catalog, objects, unreadable=stores.unreadable),
        ),
        _service(cacheservice_pb2.DESCRIPTOR, "CacheService", CacheService(databases.catalog)),
        _service(agent_pb2.DESCRIPTOR, "AgentMetadataService", AgentService(config.agents)),
        _service(auth_pb2.DESCRIPTOR, "AuthMetadataService", AuthMetadataService(login)),
        _service(identity_pb2.DESCRIPTOR, "IdentityService", IdentityService()),
        _service(
            policies_pb2.DESCRIPTOR, "LaunchPlanPolicyService", LaunchPlanPolicyService(admin.backend, admin.ending)
        ),
        _service(state_pb2.DESCRIPTOR, "StateService", StateService(admin.backend)),
        _service(
            clusters_pb2.DESCRIPTOR,
            "ClusterService",
            ClusterService(admin.backend, GivenUp(admin.events), login.url, _public_keys, clusters_changed),
        ),
        _service(logs_pb2.DESCRIPTOR, "LogService", LogService(admin.backend, questions)),
        _service(events_pb2.DESCRIPTOR, "EventService", EventService(admin.events)),
        _service(link_pb2.DESCRIPTOR, "DataPlaneLink", LinkService(dispatcher, resources)),
    )
    counting = BlockCounting(database, prepare=partial(prepare_lists, admin.backend))
    return Parts(
        services,
        (notices, dispatcher, questions, resources, *leadership, scheduler, WaitingLine(admin.ending), counting),
    )


def stock_services(services: tuple[Service, ...]) -> tuple[Service, ...]:
    """Return what a stock FlyteAdmin has too, and the link, without which no data plane could run anything."""
    own = policies_pb2.DESCRIPTOR.package
    return tuple(
        service
        for service in services
        if service.descriptor.file.package != own or service.descriptor.name == "DataPlaneLink"
    )


def _scheduler(
    database: Database, launcher: Callable[[], Launcher], config: SchedulerConfig, notices: Notices
) -> tuple[Scheduler, tuple[Duty, ...]]:
    """Return it and what it needs to run beside it: where there may be other replicas, one of them fires."""

    def tell() -> None:
        notices.say(Topic.SCHEDULES)

    if database.is_sqlite:
        return Scheduler(database, launcher, config=config, tell=tell), ()
    config = replace(config, poll_interval=_SHARED_POLL_INTERVAL)
    leadership = Leadership(database, "schedules")
    scheduler = Scheduler(database, launcher, config=config, leads=leadership.held, tell=tell)
    leadership.listen(scheduler.look)
    notices.listen(Topic.SCHEDULES, scheduler.look)
    return scheduler, (leadership,)


def _public_keys(document: object) -> object:
    # Its cryptography takes time and memory, which a platform without clusters of its own does not pay.
    from flyteform_controlplane.auth.keys import import_public_keys

    return import_public_keys(document)


def _service(file: FileDescriptor, name: str, servicer: object) -> Service:
    return Service(file.services_by_name[name], servicer)
