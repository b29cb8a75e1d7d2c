"""The client's process: many workers on a few channels, raw bytes in and out, and what each call took."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING

import grpc.aio
import uvloop

from benchmarks.controlplane.requests import SUBJECTS, prepare

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from multiprocessing.connection import Connection

CHANNELS = 4
EMPTY = "/bench.Floor/Empty"


@dataclass(frozen=True, slots=True)
class Round:
    """What to send (the subject's number, -1 for the empty method), by how many, for how long and how often."""

    subject: int
    clients: int
    seconds: float
    calls: int


@dataclass(frozen=True, slots=True)
class Result:
    """How long the calls took, in seconds, and all of them together."""

    latencies: list[float]
    seconds: float


class Client:
    """A process that loads the server at `address`."""

    def __init__(self, address: str) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, address), daemon=True)
        self._process.start()

    def prepare(self) -> None:
        """Make what the load refers to."""
        self._ask(None)

    def run(self, what: Round) -> Result:
        """Send the load; raise if any call fails, as a fast failure is no result."""
        result = self._ask(what)
        if not isinstance(result, Result):
            raise TypeError(f"no result: {result}")
        return result

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(5)

    def _ask(self, what: Round | None) -> object:
        self._pipe.send(what)
        answer = self._pipe.recv()
        if isinstance(answer, str):
            raise RuntimeError(answer)  # noqa: TRY004 - the text is the other process's error
        return answer


def _serve(pipe: Connection, address: str) -> None:
    try:
        uvloop.run(_answer(pipe, address))
    except (EOFError, KeyboardInterrupt):
        return


async def _answer(pipe: Connection, address: str) -> None:
    channels = [
        grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) for _ in range(CHANNELS)
    ]
    while True:
        what: Round | None = await asyncio.to_thread(pipe.recv)
        try:
            pipe.send(await (_prepare(channels[0]) if what is None else _run(channels, what)))
        except grpc.aio.AioRpcError as error:
            pipe.send(f"{what}: {error.code().name}: {error.details()}")


async def _prepare(channel: grpc.aio.Channel) -> None:
    for path, request in prepare():
        await channel.unary_unary(path)(request)


async def _run(channels: list[grpc.aio.Channel], what: Round) -> Result:
    subject = SUBJECTS[what.subject] if what.subject >= 0 else None
    path = subject.path if subject else EMPTY
    round_id = secrets.token_hex(4)
    each = -(-what.calls // what.clients)
    queues = []
    for number in range(what.clients):
        stream: Iterator[bytes] = subject.stream(f"w{round_id}{number:x}") if subject else iter(lambda: b"", None)
        queues.append([next(stream) for _ in range(each)])
    latencies: list[float] = []
    started = time.perf_counter()
    calls: list[Callable[[bytes], Awaitable[bytes]]] = [channel.unary_unary(path) for channel in channels]
    workers = (
        _work(calls[number % len(calls)], queue, started + what.seconds, latencies)
        for number, queue in enumerate(queues)
    )
    await asyncio.gather(*workers)
    return Result(latencies, time.perf_counter() - started)


async def _work(
    call: Callable[[bytes], Awaitable[bytes]], queue: list[bytes], until: float, latencies: list[float]
) -> None:
    for request in queue:
        before = time.perf_counter()
        if before > until:
            return
        await call(request)
        latencies.append(time.perf_counter() - before)
