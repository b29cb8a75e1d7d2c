"""Starts a platform as a process of its own, waits until it is ready, asks how it is, and stops it."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import sys
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

from flyteform_local.errors import PlatformError
from flyteform_local.processes import Process
from flyteform_local.state import read_addresses

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

    from flyteform_local.state import Addresses

LOG_NAME = "platform.log"
_LOG_BYTES = 16 * 1024 * 1024  # a longer one is put aside at the next start
_SHOWN_LINES, _SHOWN_CHARACTERS = 12, 2000
# Longer than the platform waits for its own parts, so that what is said is its own reason.
_START_SECONDS = 240.0
_STOP_SECONDS = 30.0
_ANSWER_SECONDS = 30.0
_LOOK_SECONDS = 0.05
# What belongs to whoever starts it, and is no business of tasks: credentials of states among them.
_PRIVATE = ("PULUMI_", "FLYTEFORM_")
_DATA_PLANE_LOCK = "dataplane.lock"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a platform is started with; a port of 0 is any free one."""

    state_dir: Path
    grpc_port: int = 0
    http_port: int = 0
    images: tuple[str, ...] = ()
    connectors: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """The same as arguments."""
        return (
            f"--state-dir={self.state_dir}",
            f"--grpc-port={self.grpc_port}",
            f"--http-port={self.http_port}",
            *(f"--image={each}" for each in self.images),
            *(f"--connector={each}" for each in self.connectors),
        )


async def start(settings: Settings, owner: str) -> Addresses:
    """Start a platform and return where it serves, once it is ready.

    It goes on when this process ends, however that ends. `PlatformError` with the last lines of its log if it does not
    come up; cancelled, it is stopped again.
    """
    log = settings.state_dir / LOG_NAME
    with _log_file(log) as output:
        began = output.tell()
        async with _spawned(settings, owner, output) as told:
            who = asyncio.ensure_future(_word(told))
            try:
                await asyncio.shield(who)
                async with asyncio.timeout(_START_SECONDS):
                    said = await _word(told)
            except BaseException as error:
                await asyncio.shield(_end(settings.state_dir, who))
                if isinstance(error, TimeoutError):
                    raise _failure({}, log, began, f"is not ready after {_START_SECONDS:.0f} s") from error
                raise
    addresses = read_addresses(settings.state_dir)
    if "grpc" not in said or addresses is None:
        await _end(settings.state_dir, who)  # it has said its last word, and may take a while to end
        raise _failure(said, log, began, "ended while it started")
    return addresses


async def _end(state_dir: Path, who: asyncio.Future[Mapping[str, str]]) -> None:
    """Stop a platform that has said who it is, or is about to."""
    if said := await who:
        await stop(state_dir, Process(int(said["pid"]), said["began"]))


@asynccontextmanager
async def _spawned(settings: Settings, owner: str, output: BinaryIO) -> AsyncGenerator[asyncio.StreamReader]:
    """Let the process go; yield what it tells, to the end of it."""
    reads, writes = os.pipe()
    told = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(told), os.fdopen(reads, "rb")
    )
    try:
        with os.fdopen(writes, "wb"):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # modules are not looked for among the data
                "-m",
                "flyteform_local.detached",
                f"--report={writes}",
                f"--owner={owner}",
                *settings.words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[writes],
                cwd=settings.state_dir,
                env=_environment(os.environ),
                start_new_session=True,  # Ctrl-C in the terminal of whoever starts it is not meant for it
            )
        await process.wait()  # the platform is its child, which it leaves at once
        yield told
    finally:
        transport.close()


async def _word(told: asyncio.StreamReader) -> Mapping[str, str]:
    line = await told.readline()
    return {str(key): str(value) for key, value in json.loads(line).items()} if line else {}


async def stop(state_dir: Path, process: Process) -> None:
    """Stop this platform and no other, kindly first; return once nothing of it runs."""
    try:
        if process.send(signal.SIGTERM):
            await _gone(process, _STOP_SECONDS)
        if process.send(signal.SIGKILL):
            await _gone(process, _STOP_SECONDS)
    except PermissionError as error:
        raise PlatformError(
            f"process {process.pid}, the platform on {state_dir}, is not yours to stop",
            remedy="run as the user that started it",
        ) from error
    if process.runs:
        raise PlatformError(f"process {process.pid}, the platform on {state_dir}, cannot be stopped")
    await settled(state_dir)


async def settled(state_dir: Path) -> None:
    """Wait until the data plane of a platform that has ended, perhaps by being killed, has ended with it."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _STOP_SECONDS
    while _is_held(state_dir / _DATA_PLANE_LOCK):
        if loop.time() > deadline:
            raise PlatformError(
                f"the data plane in {state_dir} goes on after its platform has ended",
                remedy="end the process `flyteform_dataplane` of this directory, and try again",
            )
        await asyncio.sleep(_LOOK_SECONDS)


async def answers(addresses: Addresses) -> bool:
    """Tell whether a platform says that all its parts are ready."""
    place = urlsplit(addresses.http)
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(place.hostname, place.port)
            try:
                writer.write(f"GET /healthcheck HTTP/1.1\r\nHost: {place.netloc}\r\nConnection: close\r\n\r\n".encode())
                status = await reader.readline()
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError):
        return False
    return status.split()[1:2] == [b"200"]


def last_lines(log: Path, began: int = 0) -> str:
    """Return the end of what a platform wrote from this byte on."""
    try:
        with log.open("rb") as file:
            file.seek(began)
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-_SHOWN_LINES:])[-_SHOWN_CHARACTERS:]


async def _gone(process: Process, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while process.runs:  # noqa: ASYNC110 - somebody else's process sets no event
                await asyncio.sleep(_LOOK_SECONDS)


def _is_held(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _failure(said: Mapping[str, str], log: Path, began: int, what: str) -> PlatformError:
    if reason := said.get("error"):
        return PlatformError(f"the platform on {log.parent} did not start: {reason}", remedy=said.get("remedy") or None)
    if crash := said.get("crash"):
        ending = f": {crash}"
    elif shown := last_lines(log, began):
        ending = f"; the last lines of its log:\n{shown}"
    else:
        ending = " without a word in its log"
    return PlatformError(f"the platform on {log.parent} {what}{ending}", remedy=f"its log is {log}")


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in given.items() if not name.startswith(_PRIVATE)}


def _log_file(log: Path) -> BinaryIO:
    """Return the log to write on, a new one if it has become long; `PlatformError` if there can be none."""
    try:
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        return log.open("ab")
    except OSError as error:
        raise PlatformError(
            f"the state directory {log.parent} cannot be used: {error.strerror}",
            remedy="give a directory that you may write to with --state-dir",
        ) from error
