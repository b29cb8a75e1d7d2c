"""Every REST path of the OpenAPI document, asked with bodies, parameters and types that nobody sane would send."""

from __future__ import annotations

import http.client
import json
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from robustness.conftest import Server, serving
from support.hostile import EXAMPLES, NUMBERS, PLAUSIBLE, TEXTS

if TYPE_CHECKING:
    from collections.abc import Iterator

# Client errors, and those of a service that cannot do it now: whatever else was not foreseen.
CLEAN = {200, 400, 401, 403, 404, 405, 409, 413, 429, 503}
MANY = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
GENERATORS = st.integers(0, 2**32).map(Random)
LONGEST = 2000  # of a path's or a query's value: more than that is the HTTP server's own matter
GARBAGE = (
    b"",
    b"\xff",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"{}{}",
    b"[" * 5000,
    b'{"a":' * 2000,
    b"\x00" * 100,
    b"1e9999",
)


class Client:
    """One connection that is made anew when the server has closed it."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=20)

    def ask(self, verb: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        """Send a request and return status and body."""
        self._connection.request(verb, path, body, headers)
        response = self._connection.getresponse()
        return response.status, response.read()

    def close(self) -> None:
        """Close it."""
        self._connection.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give a control plane: what REST adds to the methods has nothing to do with the kind of database."""
    with serving(tmp_path_factory.mktemp("platform")) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    """Give a connection."""
    client = Client(server.addresses.http)
    yield client
    client.close()


def test_any_request_gets_a_clean_answer(server: Server, client: Client) -> None:
    """Random parameters and bodies for every operation get a status that says whose fault it is."""
    document = json.loads(client.ask("GET", "/api/v1/openapi", None, {})[1])
    wrong = [
        failure
        for path, operations in document["paths"].items()
        for verb, operation in operations.items()
        if (failure := _failure(server, client, document, verb.upper(), path, operation["parameters"]))
    ]
    assert not wrong, "\n\n".join(wrong)


def _failure(
    server: Server, client: Client, document: dict[str, Any], verb: str, path: str, parameters: list[dict[str, Any]]
) -> str:
    @seed(0)
    @MANY
    @given(GENERATORS)
    def ask(random: Random) -> None:
        before = server.rows()
        target = _path(path, parameters, random) + _query(parameters, random)
        body, headers = _body(document, parameters, random)
        status, answer = client.ask(verb, target, body, headers)
        what = f"{verb} {target[:500]} {headers} {body[:1000] if body else None!r}: {status} {answer[:500]!r}"
        assert status in CLEAN, what
        assert status == 200 or server.rows() == before, what
        if status == 200 and headers["accept"] == "application/json":
            json.loads(answer)

    try:
        ask()
    except AssertionError as error:
        return str(error)
    return ""


def _path(template: str, parameters: list[dict[str, Any]], random: Random) -> str:
    for parameter in parameters:
        if parameter["in"] == "path":
            name = parameter["name"]
            value = quote(_value(name, random), safe="")
            template = template.replace("{" + name + "}", value).replace("{" + name + "=*}", value)
    return template


def _query(parameters: list[dict[str, Any]], random: Random) -> str:
    names = [parameter["name"] for parameter in parameters if parameter["in"] == "query" and random.random() < 0.4]
    pairs = [(name, _value(name, random)) for name in names]
    return "?" + urlencode(pairs) if pairs else ""


def _value(name: str, random: Random) -> str:
    plausible = PLAUSIBLE.get(name.rpartition(".")[2])
    text: str = random.choice(plausible if plausible and random.random() < 0.7 else (*TEXTS, *map(str, NUMBERS)))
    return text[:LONGEST]


def _body(
    document: dict[str, Any], parameters: list[dict[str, Any]], random: Random
) -> tuple[bytes | None, dict[str, str]]:
    headers = {"accept": random.choice(("application/json", "application/octet-stream", "*/*"))}
    schema = next((parameter["schema"] for parameter in parameters if parameter["in"] == "body"), None)
    if schema is None:
        return None, headers
    headers["content-type"] = random.choice(("application/json", "application/json", "application/octet-stream", "x"))
    if headers["content-type"] != "application/json" or random.random() < 0.3:
        return random.choice((*GARBAGE, random.randbytes(30))), headers
    return json.dumps(_json(document, schema, random, 0)).encode(), headers


def _json(document: dict[str, Any], schema: dict[str, Any], random: Random, depth: int) -> Any:
    """Make a value that fits the schema, but for one in ten that does not."""
    if random.random() < 0.1:
        return random.choice((None, True, -1, 1e300, "x", [], {}, {"x": [{}]}))
    if "$ref" in schema:
        schema = document["definitions"][schema["$ref"].removeprefix("#/definitions/")]
    match schema.get("type"):
        case "object":
            properties = {} if depth > 6 else schema.get("properties", {})
            chosen = {name: inner for name, inner in properties.items() if random.random() < 0.6}
            return {name: _named(document, name, inner, random, depth + 1) for name, inner in chosen.items()}
        case "array":
            return [_json(document, schema["items"], random, depth + 1) for _ in range(random.randint(0, 2))]
        case "boolean":
            return random.random() < 0.5
        case "integer" | "number":
            return random.choice((*NUMBERS, 1.5))
        case _:
            return random.choice(schema.get("enum") or TEXTS)


def _named(document: dict[str, Any], name: str, schema: dict[str, Any], random: Random, depth: int) -> Any:
    if schema.get("type") == "string" and "format" not in schema and "enum" not in schema:
        return _value(name, random)
    return _json(document, schema, random, depth)


@pytest.mark.parametrize(
    ("verb", "path", "headers"),
    [
        ("GET", "/api/v1/projects?limit=" + "9" * 60_000, {}),
        ("GET", "/" + "a" * 60_000, {}),
        ("GET", "/api/v1/tasks/%ff/%00/%2e%2e", {}),
        ("GET", "/objects/../../etc/passwd", {}),
        ("GET", "/objects/%2e%2e/%2e%2e/etc/passwd?method=GET&expires=99999999999&signature=00", {}),
        ("PUT", "/objects/a?method=PUT&expires=1&signature=%00", {}),
        ("POST", "/api/v1/tasks", {"content-type": "application/json; charset=nope"}),
        ("DELETE", "/api/v1/projects", {}),
        ("PATCH", "/healthcheck", {}),
        ("GET", "/me", {"authorization": "Bearer \x7f"}),
        ("GET", "/api/v1/projects", {"x-request-id": "a" * 3000}),
        ("GET", "/api/v1/projects", {"grpc-metadata-" + "x" * 500: "y"}),
    ],
)
def test_odd_requests(client: Client, verb: str, path: str, headers: dict[str, str]) -> None:
    """Long, encoded and unsigned paths, and odd headers, get a clean status."""
    status, _ = client.ask(verb, path, None, headers)
    assert status in CLEAN | {414, 431}
