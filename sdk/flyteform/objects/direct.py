"""Objects read and written by their URIs alone, without a store or an event loop of the caller's."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from flyteform.objects.ports import ObjectStore

Answer = TypeVar("Answer")

_LOCAL = "file://"


def read(uri: str) -> bytes:
    """Return the content of an object; the errors are those of the stores."""
    if uri.startswith(_LOCAL):
        from flyteform.objects.local import read_bytes

        return read_bytes(uri)
    return _run(_store(uri).get(uri))


def write(uri: str, data: bytes) -> None:
    """Store an object."""
    if uri.startswith(_LOCAL):
        from flyteform.objects.local import write_bytes

        write_bytes(uri, data)
    else:
        _run(_store(uri).put(uri, data))


def _store(uri: str) -> ObjectStore:
    """Open the store of a URI, which its scheme and its bucket name."""
    from flyteform.objects import open_store

    scheme, _, rest = uri.partition("://")
    return open_store(f"{scheme}://{rest.partition('/')[0]}")


def _run(work: Coroutine[None, None, Answer]) -> Answer:
    """Run to the end, in a thread of its own where the caller, an asynchronous task, has a loop already."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
