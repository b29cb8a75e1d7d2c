"""The gateway over a real server: paths, queries, bodies, representations and errors as Flyte's clients expect."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
from flyteidl.admin.common_pb2 import RawOutputDataConfig, Sort
from flyteidl.admin.execution_pb2 import Execution, ExecutionCreateRequest, ExecutionCreateResponse, ExecutionSpec
from flyteidl.core.identifier_pb2 import TASK, WORKFLOW

if TYPE_CHECKING:
    from conftest import Edge  # type: ignore[import-not-found] # the test folder's own

ONE = "/api/v1/executions/p/d/e"
OCTET = "application/octet-stream"


async def test_path_variables_fill_nested_fields(edge: Edge) -> None:
    """The parts of a path become fields of the identifier, percent-decoded, a slash in one included."""
    answer = await edge.ask("GET", f"/api/v1/executions/{quote('a b', safe='')}/d/{quote('x/y:z', safe='')}")
    assert answer.status == 200
    identifier = edge.admin.requests[0].id
    assert (identifier.project, identifier.domain, identifier.name) == ("a b", "d", "x/y:z")


async def test_json_is_flytes(edge: Edge) -> None:
    """Field names are the proto's, unset fields are there, unset messages are null, enums are names."""
    answer = await edge.ask("GET", "/api/v1/named_entities/WORKFLOW/p/d/n")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {
        "resource_type": "WORKFLOW",
        "id": {"project": "p", "domain": "d", "name": "n", "org": ""},
        "metadata": None,
    }


@pytest.mark.parametrize("path", ["/nope", "/api/v1/tasks/p/d/n/v%0A/x", "/healthcheck/", "/a%0Ab"])
async def test_any_path_is_answered_in_the_gateways_form(edge: Edge, path: str) -> None:
    """Line breaks and paths that are nothing's get a refusal with code, message and details, never plain text."""
    answer = await edge.ask("GET", path)
    assert answer.status == 404
    assert answer.json.keys() == {"code", "message", "details"}


async def test_octet_stream_is_raw_protobuf(edge: Edge) -> None:
    """FlyteConsole's Accept gets the message itself."""
    answer = await edge.ask("GET", ONE, headers={"Accept": OCTET})
    assert answer.headers["content-type"] == OCTET
    assert Execution.FromString(answer.body).id.name == "e"


@pytest.mark.parametrize(("text", "number"), [("WORKFLOW", WORKFLOW), ("2", WORKFLOW), ("TASK", TASK)])
async def test_enums_in_paths(edge: Edge, text: str, number: int) -> None:
    """An enum in a path is given by name or by number."""
    assert (await edge.ask("GET", f"/api/v1/named_entities/{text}/p/d/n")).status == 200
    assert edge.admin.requests[0].resource_type == number


@pytest.mark.parametrize("text", ["NOTHING", "77", "-1", "workflow"])
async def test_unknown_enums_are_refused(edge: Edge, text: str) -> None:
    """A word that is no value of the enum is a clear 400 that lists the values."""
    answer = await edge.ask("GET", f"/api/v1/named_entities/{text}/p/d/n")
    assert (answer.status, answer.json["code"]) == (400, 3)
    assert "WORKFLOW" in answer.json["message"]
    assert edge.admin.requests == []


async def test_queries_fill_nested_fields(edge: Edge) -> None:
    """Query parameters reach nested fields, enums and numbers, whatever spelling; other names are not read."""
    query = urlencode(
        {"limit": "10", "sort_by.key": "created_at", "sortBy.direction": "ASCENDING", "filters": "eq(a,b)+x", "_": "1"}
    )
    assert (await edge.ask("GET", f"/api/v1/executions/p/d?{query}")).json == {"executions": [], "token": "next"}
    request = edge.admin.requests[0]
    assert (request.limit, request.filters) == (10, "eq(a,b)+x")
    assert (request.sort_by.key, request.sort_by.direction) == ("created_at", Sort.ASCENDING)
    assert (request.id.project, request.id.domain) == ("p", "d")


@pytest.mark.parametrize("query", ["limit=ten", "limit=", "limit=1_0", "limit=99999999999", "limit=-1", "limit=1.5"])
async def test_wrong_queries_are_refused(edge: Edge, query: str) -> None:
    """A text that is no number, or not one of the field's, is a 400 that names the parameter."""
    answer = await edge.ask("GET", f"/api/v1/executions/p/d?{query}")
    assert answer.status == 400
    assert "invalid value for limit" in answer.json["message"]


@pytest.mark.parametrize("path", ["/api/v1/executions/p/%ff/e", "/api/v1/executions/p/d?filters=%ff"])
async def test_urls_that_are_not_utf8_are_refused(edge: Edge, path: str) -> None:
    """Bytes that are no text are a 400."""
    assert (await edge.ask("GET", path)).status == 400


async def test_paths_go_before_queries_and_bodies(edge: Edge) -> None:
    """What the path names cannot be changed by the rest of the request."""
    await edge.ask("GET", "/api/v1/executions/p/d?id.project=other")
    await edge.ask("DELETE", ONE, json.dumps({"id": {"project": "other"}, "cause": "why"}).encode())
    assert [request.id.project for request in edge.admin.requests] == ["p", "p"]
    assert edge.admin.requests[1].cause == "why"


async def test_the_longest_path(edge: Edge) -> None:
    """A binding with nine variables, one of them a number, sets them all."""
    path = "/api/v1/children/task_executions/p/d/e/n/tp/td/tn/tv/3"
    assert (await edge.ask("GET", f"{path}?limit=1")).status == 200
    identifier = edge.admin.requests[0].task_execution_id
    assert (identifier.node_execution_id.execution_id.name, identifier.node_execution_id.node_id) == ("e", "n")
    assert (identifier.task_id.version, identifier.retry_attempt) == ("tv", 3)


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "spec": {"max_parallelism": 2, "labels": {"values": {"a": "b"}}}},
        {"name": "x", "spec": {"maxParallelism": 2, "labels": {"values": {"a": "b"}}}},
    ],
)
async def test_json_bodies(edge: Edge, body: dict[str, Any]) -> None:
    """A JSON body is read in either spelling of its names, and without a Content-Type too."""
    answer = await edge.ask("POST", "/api/v1/executions", json.dumps(body).encode())
    assert answer.json["id"]["name"] == "x"
    assert edge.admin.requests[0].spec.max_parallelism == 2
    assert edge.admin.requests[0].spec.labels.values["a"] == "b"


async def test_protobuf_bodies(edge: Edge) -> None:
    """A protobuf body is read, and answered in kind unless JSON is asked for."""
    body = ExecutionCreateRequest(name="x", spec=ExecutionSpec(max_parallelism=2)).SerializeToString()
    answer = await edge.ask("POST", "/api/v1/executions", body, {"Content-Type": OCTET})
    assert ExecutionCreateResponse.FromString(answer.body).id.name == "x"
    headers = {"Content-Type": OCTET, "Accept": "application/json"}
    assert (await edge.ask("POST", "/api/v1/executions", body, headers)).json["id"]["name"] == "x"


@pytest.mark.parametrize(
    ("body", "content_type", "told"),
    [
        (b"{", "application/json", "not valid JSON"),
        (b"[]", "application/json", "not valid JSON"),
        (b"null", "application/json", "not valid JSON"),
        (b'{"nmae": "x"}', "application/json", "nmae"),
        (b'{"name": 1}', "application/json", "name"),
        (b"\xff\xfe", "application/json", "not valid JSON"),
        (b"[" * 100_000, "application/json", "not valid JSON"),
        (b"\xff\xff\xff", OCTET, "not a protobuf message"),
    ],
)
async def test_wrong_bodies_are_refused(edge: Edge, body: bytes, content_type: str, told: str) -> None:
    """A body that does not fit is a 400 that says what is wrong, and no call is made."""
    headers = {"Content-Type": content_type, "Accept": "application/json"}
    answer = await edge.ask("POST", "/api/v1/executions", body, headers)
    assert (answer.status, answer.json["code"]) == (400, 3)
    assert told in answer.json["message"]
    assert edge.admin.requests == []


async def test_an_empty_body_is_an_empty_message(edge: Edge) -> None:
    """A DELETE without a body is complete."""
    assert (await edge.ask("DELETE", ONE)).status == 200


async def test_errors_in_json(edge: Edge) -> None:
    """An error has the gateway's form, with its details typed."""
    answer = await edge.ask("GET", "/api/v1/executions/p/d/exists")
    detail = {"@type": "type.googleapis.com/flyteidl.admin.RawOutputDataConfig", "output_location_prefix": "d"}
    assert (answer.status, answer.json) == (409, {"code": 6, "message": "it exists", "details": [detail]})


async def test_errors_for_flyteconsole(edge: Edge) -> None:
    """FlyteConsole reads an error's body as a message whose first field is the text."""
    answer = await edge.ask("GET", "/api/v1/executions/p/d/exists", headers={"Accept": OCTET})
    assert answer.status == 409
    assert RawOutputDataConfig.FromString(answer.body).output_location_prefix == "it exists"


async def test_uncaught_errors_tell_nothing(edge: Edge) -> None:
    """An error that nobody meant is a 500 with the request id and without the cause."""
    answer = await edge.ask("GET", "/api/v1/executions/p/d/uncaught", headers={"X-Request-Id": "mine"})
    assert (answer.status, answer.json["code"]) == (500, 13)
    assert "mine" in answer.json["message"]
    assert "secret" not in answer.json["message"]


@pytest.mark.parametrize(
    "path",
    ["/", "/nothing", "/api/v1", "/api/v1/executions/p/d/e/x", "/api/v1/executions/p//e", ONE + "/", "/api/v1//x"],
)
async def test_unknown_paths(edge: Edge, path: str) -> None:
    """A path that nothing is bound to is a 404 in JSON."""
    answer = await edge.ask("GET", path)
    assert (answer.status, answer.json["code"]) == (404, 5)


async def test_wrong_methods(edge: Edge) -> None:
    """A path that takes other methods is a 405 that names them."""
    answer = await edge.ask("PATCH", ONE)
    assert (answer.status, answer.headers["allow"]) == (405, "DELETE, GET, PUT")
    assert "takes DELETE, GET, PUT" in answer.json["message"]


async def test_what_is_not_implemented(edge: Edge) -> None:
    """A bound method without an implementation is a 501."""
    assert (await edge.ask("GET", "/api/v1/projects")).status == 501


async def test_other_services_are_bound_too(edge: Edge) -> None:
    """Whatever service is registered is served by its own annotations."""
    assert (await edge.ask("GET", "/me")).json["name"] == "somebody"


async def test_headers_are_the_calls_metadata(edge: Edge) -> None:
    """A service sees a request's headers as it sees gRPC's metadata, and the request id comes back."""
    headers = {"Flyte-Authorization": "bearer", "Grpc-Metadata-Mark": "here", "X-Request-Id": "mine"}
    answer = await edge.ask("GET", ONE, headers=headers)
    (call,) = edge.admin.calls
    assert (call.metadata["flyte-authorization"], call.metadata["mark"]) == ("bearer", "here")
    assert (call.method, call.request_id) == ("/flyteidl.service.AdminService/GetExecution", "mine")
    assert call.peer.startswith("http:127.0.0.1:")
    assert answer.headers["x-request-id"] == "mine"
    assert (await edge.ask("GET", ONE)).headers["x-request-id"].startswith("a-")


async def test_browsers_may_call(edge: Edge) -> None:
    """A page of any origin may call, with the headers that FlyteConsole sends."""
    headers = {
        "Origin": "https://console.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,flyte-authorization",
    }
    answer = await edge.ask("OPTIONS", "/api/v1/executions", headers=headers)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "flyte-authorization" in answer.headers["access-control-allow-headers"]
    simple = await edge.ask("GET", ONE, headers={"Origin": "https://console.example"})
    assert simple.headers["access-control-allow-origin"] == "*"


async def test_health_waits_for_everything(edge: Edge) -> None:
    """The health check is a 503 that says what is missing, until nothing is."""
    answer = await edge.ask("GET", "/healthcheck")
    assert (answer.status, answer.json["waiting_for"]) == (503, ["all"])
    edge.readiness.report("all")
    assert (await edge.ask("GET", "/healthcheck")).status == 200


async def test_openapi_describes_every_route(edge: Edge) -> None:
    """The document has all paths with their parameters, and a definition for every reference."""
    answer = await edge.ask("GET", "/api/v1/openapi")
    document = answer.json
    assert (document["swagger"], document["info"]["version"]) == ("2.0", "1.2.3")
    operation = document["paths"]["/api/v1/executions/{id.project}/{id.domain}"]["get"]
    places = {parameter["name"]: parameter["in"] for parameter in operation["parameters"]}
    assert places["id.project"] == "path"
    assert places["sort_by.direction"] == "query"
    assert "get" in document["paths"]["/me"]
    references = {part.split('"')[0] for part in answer.body.decode().split("#/definitions/")[1:]}
    assert references <= document["definitions"].keys()
