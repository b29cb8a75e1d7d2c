"""A real S3 server (SeaweedFS) of the tests' own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from support.guardian import guarded
from support.platform import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

START_SECONDS = 60.0
REGION = "us-east-1"
KEY, SECRET = "flyteform-tests", "not-a-secret-of-anybody"  # the server's own, on loopback, for as long as a test
BUCKET = "tests"
LOOPBACK = "127.0.0.1"
S3_PORT = "s3.port"
SERVERS = ("master", "volume", "filer", "s3", "admin")
PORTS = (*(f"{name}.port" for name in SERVERS), *(f"{name}.port.grpc" for name in SERVERS))
# On loopback alone, with nothing beside it, and telling nobody about it.
OPTIONS = (
    "-webdav=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-admin.ui=false",
    "-master.telemetry=false",
)
# Its servers listen here, too, whatever folder for temporary files it is given.
_SOCKETS = Path("/tmp")  # noqa: S108 - its own choice
_numbers = count(1)


@dataclass
class S3Server:
    """A server on free ports; `directory` holds its data, its logs and its temporary files."""

    directory: Path
    ports: Mapping[str, int]
    address: str = LOOPBACK
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    secret: str = field(default=SECRET, repr=False)

    @property
    def endpoint(self) -> str:
        """Where clients find it."""
        return f"http://{self.address}:{self.ports[S3_PORT]}"

    @property
    def environment(self) -> dict[str, str]:
        """What a client has to have in its environment."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": REGION,
        }

    def start(self) -> None:
        """Start it and wait until it answers."""
        (self.directory / "data").mkdir(exist_ok=True)
        ports = [f"-{name}={port}" for name, port in self.ports.items()]
        where = [f"-dir={self.directory}/data", f"-ip={self.address}", f"-ip.bind={self.address}"]
        command = [_program(), "mini", f"-bucket={BUCKET}", *where, *ports, *OPTIONS]
        with (self.directory / "log").open("ab") as log:
            keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": self.secret}
            environment = {**os.environ, **keys, "TMPDIR": str(self.directory)}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=self.directory)
        wait_until(self._answers, seconds=START_SECONDS, what="the S3 server answers")

    def stop(self) -> None:
        """End it at once: its data is for a test alone."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(timeout=START_SECONDS)
            self.process = None
            for name, port in self.ports.items():
                server = name.replace(".port", "").replace(".", "-")
                (_SOCKETS / f"seaweedfs-{server}-{port}.sock").unlink(missing_ok=True)

    def new_prefix(self) -> str:
        """Return a prefix that nothing is below yet."""
        return f"s3://{BUCKET}/{next(_numbers)}"

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.directory / "log").read_text()[-3000:]
        try:
            urllib.request.urlopen(self.endpoint, timeout=2).close()  # noqa: S310 - our own server
        except urllib.error.HTTPError as error:
            error.close()
            return error.code < 500
        except OSError:
            return False
        return True


@contextmanager
def running_s3(address: str = LOOPBACK, *, secret: str = SECRET) -> Iterator[S3Server]:
    """Run a server for the length of the block: on loopback, or where the pods of a test cluster reach it.

    With a `secret` of its own, clients of other servers cannot read it.
    """
    directory = Path(tempfile.mkdtemp(prefix="s3-", dir=guarded()))
    server = S3Server(directory, dict(zip(PORTS, _free_ports(len(PORTS)), strict=True)), address, secret=secret)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory)


def _program() -> str:
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    assert found, "the S3 server for tests is missing: `make setup` installs it"
    return found


def _free_ports(number: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [one.getsockname()[1] for one in sockets]
