"""The provider's service: what it says of itself, and what it refuses."""

from __future__ import annotations

import json

import pytest
from google.protobuf import empty_pb2
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2

from flyteform.errors import InvalidInputError
from flyteform.pulumi.provider.engine import EngineLog
from flyteform_local.pulumi.kinds import TOKEN
from flyteform_local.pulumi.platforms import Platforms
from flyteform_local.pulumi.servicer import Servicer

URN = f"urn:pulumi:test::program::{TOKEN}::it"


def made() -> Servicer:
    """Return the service."""
    log = EngineLog()
    return Servicer(Platforms(log), log, "1.2.3")


async def test_schema() -> None:
    """The schema has the resource with its inputs and outputs, and the package that programs import."""
    found = json.loads((await made().get_schema(provider_pb2.GetSchemaRequest())).schema)
    resource = found["resources"][TOKEN]
    assert resource["requiredInputs"] == ["stateDir"]
    assert set(resource["properties"]) - set(resource["inputProperties"]) == {
        "endpoint",
        "url",
        "log",
        "version",
        "state",
    }
    assert resource["inputProperties"]["stateDir"]["replaceOnChanges"]
    assert resource["inputProperties"]["grpcPort"]["type"] == "integer"
    assert found["language"]["python"]["packageName"] == "flyteform_local.pulumi"
    assert (await made().get_plugin_info(empty_pb2.Empty())).version == "1.2.3"
    with pytest.raises(InvalidInputError, match="no schema of version 7"):
        await made().get_schema(provider_pb2.GetSchemaRequest(version=7))


async def test_checks() -> None:
    """Inputs are filled in or refused with their paths; another type is refused."""
    news = ParseDict({"stateDir": "/state", "grpcPort": 99999}, Struct())
    answer = await made().check(provider_pb2.CheckRequest(urn=URN, news=news))
    assert [(each.property, each.reason[:13]) for each in answer.failures] == [("grpcPort", "99999 is no p")]
    assert MessageToDict(answer.inputs)["retainData"] is True
    with pytest.raises(InvalidInputError, match="there is no type flyteform-embedded:index:Platfrom"):
        await made().check(provider_pb2.CheckRequest(urn=URN.replace("Platform", "Platfrom"), news=news))


async def test_a_platform_that_is_not_there() -> None:
    """Read finds nothing where nothing is, and deleting that is done; a relative id is refused."""
    service = made()
    assert (await service.read(provider_pb2.ReadRequest(id="/nowhere/at-all", urn=URN))).id == ""
    await service.delete(provider_pb2.DeleteRequest(id="/nowhere/at-all", urn=URN))
    with pytest.raises(InvalidInputError, match="is no absolute path"):
        await service.read(provider_pb2.ReadRequest(id="here", urn=URN))
