"""The services and duties of a control plane, each given the ports that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from flyteform.proto.flyteform.v1 import link_pb2
from flyteform_controlplane.dispatch.dispatcher import Dispatcher
from flyteform_controlplane.services.link import LinkService
from flyteform_controlplane.transport.methods import Service

if TYPE_CHECKING:
    from google.protobuf.descriptor import FileDescriptor

    from flyteform.objects.ports import ObjectStore
    from flyteform_controlplane.store.database import Database


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


def assemble(database: Database, objects: ObjectStore) -> Parts:
    """Build all parts around one database and one object store; nothing is started."""
    dispatcher = Dispatcher(database, objects)
    services = (_service(link_pb2.DESCRIPTOR, "DataPlaneLink", LinkService(dispatcher)),)
    return Parts(services, (dispatcher,))


def _service(file: FileDescriptor, name: str, servicer: object) -> Service:
    return Service(file.services_by_name[name], servicer)
