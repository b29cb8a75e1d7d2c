"""All methods of the contract over a real channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import grpc.aio
from flyteidl.cacheservice import cacheservice_pb2
from flyteidl.datacatalog import datacatalog_pb2
from flyteidl.service import admin_pb2, agent_pb2, auth_pb2, dataproxy_pb2, identity_pb2, signal_pb2
from google.protobuf.message_factory import GetMessageClass

from flyteform.proto.flyteform.v1 import events_pb2, policies_pb2
from flyteform_controlplane.server import ControlPlane
from flyteform_controlplane.settings import ControlPlaneSettings

if TYPE_CHECKING:
    from pathlib import Path

    from google.protobuf.descriptor import MethodDescriptor

# With the number of methods that the contract lists for each.
SERVICES = (
    (admin_pb2, "AdminService", 56),
    (datacatalog_pb2, "DataCatalog", 10),
    (cacheservice_pb2, "CacheService", 5),
    (dataproxy_pb2, "DataProxyService", 4),
    (signal_pb2, "SignalService", 3),
    (identity_pb2, "IdentityService", 1),
    (auth_pb2, "AuthMetadataService", 2),
    (agent_pb2, "AgentMetadataService", 2),
    (events_pb2, "EventService", 1),
    (policies_pb2, "LaunchPlanPolicyService", 3),
)
REFUSALS = {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}


async def answer(channel: grpc.aio.Channel, method: MethodDescriptor) -> grpc.StatusCode:
    """Call the method with an empty request."""
    call = channel.unary_unary(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    try:
        await call(GetMessageClass(method.input_type)(), timeout=10)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_every_method_of_the_contract_is_implemented(tmp_path: Path) -> None:
    """An empty request to any method is answered or refused as what it is: never UNIMPLEMENTED, never INTERNAL."""
    running = ControlPlane(ControlPlaneSettings(tmp_path, grpc_port=0, http_port=0))
    addresses = await running.start()
    codes = {}
    try:
        async with grpc.aio.insecure_channel(addresses.grpc) as channel:
            for file, name, count in SERVICES:
                methods = file.DESCRIPTOR.services_by_name[name].methods
                assert len(methods) == count
                codes |= {method.full_name: await answer(channel, method) for method in methods}
    finally:
        await running.stop()
    assert {name: code for name, code in codes.items() if code not in REFUSALS} == {}
