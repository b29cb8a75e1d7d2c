"""Requests to an API server, as that sees them, and what is made of its answers."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from flyteform.errors import AlreadyExistsError, InvalidInputError, NotFoundError, UnavailableError
from flyteform_dataplane.kubernetes.api import ExpiredError, connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from flyteform_dataplane.kubernetes.api import KubernetesApi

PODS = "/api/v1/pods"
CHANGES = [
    {"type": kind, "object": {"metadata": {"name": name, "resourceVersion": "1"}}}
    for kind, name in (("ADDED", "a"), ("MODIFIED", "ä" * 100), ("DELETED", "\ud800"), ("BOOKMARK", ""))
]
TOLD = [(change["type"], change["object"]) for change in CHANGES]
LINES = b"".join(json.dumps(change).encode() + b"\n" for change in CHANGES)


@asynccontextmanager
async def serving(
    folder: Path, answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> AsyncIterator[KubernetesApi]:
    """Connect to a server that answers so."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    _, port = runner.addresses[0][:2]
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(
        json.dumps(
            {
                "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                "users": [{"name": "u", "user": {"token": "t1"}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    try:
        async with connect(kubeconfig) as api:
            yield api
    finally:
        await runner.cleanup()


def telling(*pieces: bytes) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Answer watches with text in such pieces."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        return response

    return answer


async def watched(api: KubernetesApi) -> list[tuple[str, dict[str, Any]]]:
    """Return the changes that a watch tells of."""
    return [change async for change in api.watch(PODS, "1")]


@pytest.mark.parametrize("size", [1, 7, 100, len(LINES)])
async def test_changes_come_in_any_pieces(tmp_path: Path, size: int) -> None:
    """However the text is cut, each change is told once and as it was written, whoever has written it."""
    pieces = [LINES[start : start + size] for start in range(0, len(LINES), size)]
    async with serving(tmp_path, telling(*pieces)) as api:
        assert await watched(api) == TOLD


async def test_a_last_line_may_have_no_end(tmp_path: Path) -> None:
    """What comes before the end of a watch is told, and half a change is a watch that broke off."""
    async with serving(tmp_path, telling(LINES[:-1])) as api:
        assert await watched(api) == TOLD
    async with serving(tmp_path, telling(LINES[:-9])) as api:
        with pytest.raises(UnavailableError, match="is no JSON"):
            await watched(api)


async def test_a_change_without_end(tmp_path: Path) -> None:
    """A line that does not end takes no more memory than any change can."""
    async with serving(tmp_path, telling(*[b"x" * 1024 * 1024] * 6)) as api:
        with pytest.raises(UnavailableError, match="more than 4194304 bytes"):
            await watched(api)


async def test_a_watch_says_what_is_wrong(tmp_path: Path) -> None:
    """A version that the server has forgotten is told in the midst of changes."""
    gone = {"type": "ERROR", "object": {"code": 410, "message": "too old"}}
    async with serving(tmp_path, telling(LINES, json.dumps(gone).encode() + b"\n")) as api:
        with pytest.raises(ExpiredError, match="too old"):
            await watched(api)


async def test_what_a_request_says(tmp_path: Path) -> None:
    """Method, path, query, body and headers are those that an API server knows."""
    heard: list[tuple[str, str, str, bytes]] = []
    headers: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        heard.append((request.method, request.raw_path, request.content_type, await request.read()))
        headers.append(dict(request.headers))
        return web.json_response({"metadata": {}, "items": None})

    async with serving(tmp_path, answer) as api:
        await api.get(PODS, labelSelector="a=b,c in (d)", limit="1")
        await api.create(PODS, {"a": "\ud800"}, metadata_only=True)
        await api.patch(f"{PODS}/x", {"metadata": {}})
        await api.apply(f"{PODS}/x", {}, manager="m")
        await api.delete(f"{PODS}/x")
        assert (await api.get_metadata(PODS))["items"] == []
    assert heard == [
        ("GET", f"{PODS}?labelSelector=a%3Db%2Cc+in+%28d%29&limit=1", "application/json", b""),
        ("POST", PODS, "application/json", b'{"a":"\\ud800"}'),
        ("PATCH", f"{PODS}/x", "application/merge-patch+json", b'{"metadata":{}}'),
        ("PATCH", f"{PODS}/x?fieldManager=m&force=false", "application/apply-patch+yaml", b"{}"),
        ("DELETE", f"{PODS}/x", "application/json", b""),
        ("GET", PODS, "application/json", b""),
    ]
    assert [one["Accept"].partition(";")[0] for one in headers] == ["application/json"] * 6
    assert ["PartialObjectMetadata;" in one["Accept"] for one in headers] == [False, True, True, False, False, False]
    assert "PartialObjectMetadataList;" in headers[-1]["Accept"]
    assert {one["Authorization"] for one in headers} == {"Bearer t1"}


async def test_metadata_is_all_that_is_read(tmp_path: Path) -> None:
    """Who has written which field, and what a server gives beyond what it was asked for, nobody reads."""
    given = {"metadata": {"name": "a", "managedFields": [{"manager": "m"}]}, "spec": {}}
    change = {"type": "ADDED", "object": given}

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return web.json_response(change)
        listed = {"metadata": {"continue": "c"}, "items": [given]}
        return web.json_response(listed if request.method == "GET" else given)

    async with serving(tmp_path, answer) as api:
        left = {"metadata": {"name": "a"}}
        assert await api.create(PODS, {}, metadata_only=True) == left
        assert await api.patch(f"{PODS}/a", {}) == left
        assert await api.get_metadata(PODS) == {"metadata": {"continue": "c"}, "items": [left]}
        assert [one async for one in api.watch(PODS, "1", metadata_only=True)] == [("ADDED", left)]
        assert [one async for one in api.watch(PODS, "1")] == [("ADDED", given)]
        assert await api.create(PODS, {}) == given


@pytest.mark.parametrize("metadata_only", [False, True])
async def test_what_a_watch_says_at_its_end(tmp_path: Path, *, metadata_only: bool) -> None:
    """The reason is read, whatever is read of changes."""
    gone = {"type": "ERROR", "object": {"kind": "Status", "metadata": {}, "code": 410, "message": "too old"}}
    async with serving(tmp_path, telling(json.dumps(gone).encode() + b"\n")) as api:
        with pytest.raises(ExpiredError, match="too old"):
            async for _ in api.watch(PODS, "1", metadata_only=metadata_only):
                pass


async def test_tokens_are_renewed(tmp_path: Path) -> None:
    """Each request has the token that the library has by then, as its hook renews those of service accounts."""
    heard: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        heard.append(request.headers.get("Authorization", ""))
        return web.json_response({})

    async with serving(tmp_path, answer) as api:
        configuration = api._configuration  # noqa: SLF001 - the library's own, which no file can renew in a test's time
        await api.get(PODS)
        configuration.api_key["BearerToken"] = "Bearer t2"
        await api.get(PODS)

        def renew(_: object) -> None:
            configuration.api_key["BearerToken"] += "+"

        configuration.refresh_api_key_hook = renew
        await api.get(PODS)
        await api.get(PODS)
    assert heard == ["Bearer t1", "Bearer t2", "Bearer t2+", "Bearer t2++"]


@pytest.mark.parametrize(
    ("status", "text", "kind", "said"),
    [
        (404, '{"message":"no pod"}', NotFoundError, "^no pod$"),
        (409, '{"message":"taken","reason":"AlreadyExists"}', AlreadyExistsError, "^taken$"),
        (422, '{"message":"spec"}', InvalidInputError, "refuses it: spec"),
        (401, "{}", UnavailableError, "does not accept these credentials: status 401"),
        (502, "<h1>no\xff</h1>", UnavailableError, "failed: <h1>no\ufffd</h1>"),
        (500, "[]", UnavailableError, r"failed: \[\]"),
        (200, "<h1>welcome</h1>", UnavailableError, "is no JSON"),
    ],
)
async def test_refusals(tmp_path: Path, status: int, text: str, kind: type[Exception], said: str) -> None:
    """What a server, or a proxy before it, refuses has its own word."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=text.encode("latin-1"), content_type="application/json")

    async with serving(tmp_path, answer) as api:
        for _ in range(2):  # and the connection can be used again
            with pytest.raises(kind, match=said):
                await api.get(PODS)


async def test_a_server_without_room(tmp_path: Path) -> None:
    """A request that was turned away is made again when the server says so."""
    waiting = [web.Response(status=429, headers={"Retry-After": "0"}), web.json_response({"a": 1})]

    async def answer(_: web.Request) -> web.StreamResponse:
        return waiting.pop(0)

    async with serving(tmp_path, answer) as api:
        assert await api.get(PODS) == {"a": 1}
        assert api.requests == 2


async def test_a_server_that_goes(tmp_path: Path) -> None:
    """A connection that ends without an answer is a server that cannot be reached."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(tmp_path, answer) as api:
        with pytest.raises(UnavailableError, match="cannot be reached"):
            await api.create(PODS, {})
