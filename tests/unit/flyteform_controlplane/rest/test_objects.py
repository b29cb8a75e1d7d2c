"""Objects by signed URL over a real server: whole transfers, and every attempt to get more than was signed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
from datetime import timedelta
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from conftest import Edge  # type: ignore[import-not-found] # the test folder's own

HOUR = timedelta(hours=1)
CONTENT = bytes(range(256)) * 10_000


def md5(data: bytes) -> bytes:
    """Return the checksum that S3's clients send."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def header(data: bytes) -> dict[str, str]:
    """Return the header with the checksum."""
    return {"Content-MD5": base64.b64encode(md5(data)).decode()}


async def signed(edge: Edge, name: str, method: Literal["GET", "PUT"], *, of: bytes | None = None) -> str:
    """Sign and return the URL from its path on."""
    content = None if of is None else md5(of)
    split = urlsplit((await edge.store.sign(f"{edge.store.prefix}/{name}", method, HOUR, md5=content)).url)
    return f"{split.path}?{split.query}"


async def stored(edge: Edge) -> list[str]:
    """List all objects."""
    return [info.uri.removeprefix(edge.store.prefix + "/") async for info in edge.store.list(edge.store.prefix)]


async def test_put_then_get(edge: Edge) -> None:
    """What is put with one signed URL is got with another, byte for byte, under names that need encoding too."""
    for name in ("uploads/p/d/ABC=/fast.tar.gz", "a b/ü%/c+d"):
        put = await edge.ask("PUT", await signed(edge, name, "PUT", of=CONTENT), CONTENT, header(CONTENT))
        assert (put.status, put.headers["etag"]) == (200, f'"{md5(CONTENT).hex()}"')
        got = await edge.ask("GET", await signed(edge, name, "GET"))
        assert (got.status, got.body) == (200, CONTENT)
        assert await edge.store.get(f"{edge.store.prefix}/{name}") == CONTENT


async def test_head_and_ranges(edge: Edge) -> None:
    """A URL for GET answers HEAD with the size, and gives a part of the object."""
    await edge.store.put(f"{edge.store.prefix}/a", CONTENT)
    url = await signed(edge, "a", "GET")
    head = await edge.ask("HEAD", url)
    assert (head.status, head.headers["content-length"], head.body) == (200, str(len(CONTENT)), b"")
    part = await edge.ask("GET", url, headers={"Range": "bytes=10-19"})
    assert (part.status, part.body) == (206, CONTENT[10:20])


async def test_pages_of_a_deck_have_no_origin(edge: Edge) -> None:
    """Somebody's HTML is shown as HTML, in a sandbox that keeps it from being this site."""
    await edge.store.put(f"{edge.store.prefix}/deck.html", b"<p>")
    answer = await edge.ask("GET", await signed(edge, "deck.html", "GET"))
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-security-policy"] == "sandbox allow-scripts"


async def test_missing_objects(edge: Edge) -> None:
    """A signed URL of what is not there, or of a directory, is a 404."""
    await edge.store.put(f"{edge.store.prefix}/directory/a", b"")
    for name in ("none", "directory"):
        assert (await edge.ask("GET", await signed(edge, name, "GET"))).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "other",
        "secret/../allowed",
        "allowed/../secret",
        "../objects/allowed",
        "%2e%2e/objects/allowed",
        "allowed%2f..%2fsecret",
        "/allowed",
        "//etc/passwd",
        "./allowed",
        "allowed/",
        "allowed%00",
        "allowed%0A",
        "%61llowed/x",
        "ALLOWED",
        "",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_another_path_is_refused(edge: Edge, path: str, method: Literal["GET", "PUT"]) -> None:
    """The signature of one object opens no other path, however it is written."""
    for name in ("allowed", "secret"):
        await edge.store.put(f"{edge.store.prefix}/{name}", name.encode())
    query = (await signed(edge, "allowed", method)).partition("?")[2]
    answer = await edge.ask(method, f"/objects/{path}?{query}", b"changed" if method == "PUT" else None)
    assert answer.status == 403
    assert b"secret" not in answer.body.replace(b"secret/", b"")
    assert await stored(edge) == ["allowed", "secret"]
    assert await edge.store.get(f"{edge.store.prefix}/secret") == b"secret"
    assert await edge.store.get(f"{edge.store.prefix}/allowed") == b"allowed"


async def test_another_method_is_refused(edge: Edge) -> None:
    """Reading gives no right to write, nor writing to read."""
    await edge.store.put(f"{edge.store.prefix}/a", b"1")
    assert (await edge.ask("PUT", await signed(edge, "a", "GET"), b"2")).status == 403
    assert (await edge.ask("GET", await signed(edge, "a", "PUT"))).status == 403
    assert (await edge.ask("HEAD", await signed(edge, "a", "PUT"))).status == 403
    for method in ("DELETE", "POST", "PATCH"):
        assert (await edge.ask(method, await signed(edge, "a", "GET"))).status == 403
    assert (await edge.ask("PUT", (await signed(edge, "a", "GET")).replace("GET", "PUT"), b"2")).status == 403
    assert await edge.store.get(f"{edge.store.prefix}/a") == b"1"


async def test_another_time_or_a_changed_signature_is_refused(edge: Edge) -> None:
    """A URL lives as long as was signed, and every part of its query counts."""
    await edge.store.put(f"{edge.store.prefix}/a", b"1")
    url = await signed(edge, "a", "GET")
    past = urlsplit(edge.signer.sign("a", "GET", timedelta(seconds=-1)).url)
    for wrong in (
        "/objects/a",
        url.replace("expires=", "expires=9"),
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url + "&x=1",
        f"{past.path}?{past.query}",
    ):
        answer = await edge.ask("GET", wrong)
        assert (answer.status, answer.json["code"]) == (403, 7)


async def test_content_is_checked(edge: Edge) -> None:
    """Content other than the signed or the announced one is refused, and nothing of it is stored."""
    bound = await signed(edge, "a", "PUT", of=CONTENT)
    free = await signed(edge, "a", "PUT")
    assert (await edge.ask("PUT", bound, b"other", header(CONTENT))).status == 400
    assert (await edge.ask("PUT", bound, b"other")).status == 400
    assert (await edge.ask("PUT", bound, b"other", header(b"other"))).status == 403
    assert (await edge.ask("PUT", free, b"other", header(CONTENT))).status == 400
    assert (await edge.ask("PUT", free, b"other", {"Content-MD5": "none"})).status == 400
    assert await stored(edge) == []
    assert (await edge.ask("PUT", free, b"other", header(b"other"))).status == 200


async def test_too_large_is_refused(edge: Edge) -> None:
    """An object over the limit is refused, by its announced length or by what arrives."""
    url = await signed(edge, "a", "PUT")
    assert (await edge.ask("PUT", url, bytes(3_000_001))).status == 413
    assert await stored(edge) == []


async def test_an_upload_that_breaks_off_leaves_nothing(edge: Edge) -> None:
    """When the client goes away in the middle, the object stays what it was."""
    await edge.store.put(f"{edge.store.prefix}/a", b"before")
    url = await signed(edge, "a", "PUT")
    with socket.create_connection(("127.0.0.1", edge.port)) as connection:
        connection.sendall(f"PUT {url} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf".encode())
        await _until_staged(edge, staged=True)
    await _until_staged(edge, staged=False)
    assert await edge.store.get(f"{edge.store.prefix}/a") == b"before"


async def _until_staged(edge: Edge, *, staged: bool) -> None:
    directory = edge.store.path(f"{edge.store.prefix}/a").parent
    async with asyncio.timeout(10):
        while any(path.name.startswith(".") for path in directory.iterdir()) is not staged:  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.005)


async def test_names_that_clash_are_refused(edge: Edge) -> None:
    """An upload below another object is a 400, not a broken server."""
    await edge.store.put(f"{edge.store.prefix}/a", b"1")
    assert (await edge.ask("PUT", await signed(edge, "a/b", "PUT"), b"2")).status == 400
