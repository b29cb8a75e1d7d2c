"""What is done once for a release: the schema, and the login's secret."""

from __future__ import annotations

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from flyteform_controlplane.auth.authority import Authority
from flyteform_controlplane.errors import UnavailableError
from flyteform_controlplane.release import KubernetesSecrets, command, login_files, make_secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ACCOUNT = {"token": "a-token", "namespace": "flyteform"}


class Api(BaseHTTPRequestHandler):
    """As much of an API server as knows Secrets of one namespace."""

    secrets: dict[str, Any]
    refused = False

    def do_GET(self) -> None:
        """Read one."""
        self._answer(200 if self.path.rpartition("/")[2] in self.secrets else 404)

    def do_POST(self) -> None:
        """Make one."""
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = given["metadata"]["name"]
        code = 409 if name in self.secrets else 201
        self.secrets.setdefault(name, given)
        self._answer(code)

    def _answer(self, code: int) -> None:
        right = self.headers["Authorization"] == "Bearer a-token" and "/namespaces/flyteform/secrets" in self.path
        self.send_response(code if right and not self.refused else 403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def api(folder: Path, *, refused: bool = False) -> Iterator[tuple[KubernetesSecrets, dict[str, Any]]]:
    """Run it; yield a client with an account's files, and what is kept."""
    for name, text in ACCOUNT.items():
        (folder / name).write_text(text)
    kept: dict[str, Any] = {}
    handler = type("Handler", (Api,), {"secrets": kept, "refused": refused})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield KubernetesSecrets(folder, f"http://127.0.0.1:{server.server_port}"), kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_secret_is_made_once(tmp_path: Path) -> None:
    """The first call makes the secret, and no later one replaces keys that are in use."""
    with api(tmp_path) as (secrets, kept):
        assert make_secret(secrets, "login", login_files("https://flyte.example.org"))
        first = json.dumps(kept)
        assert not make_secret(secrets, "login", login_files("https://flyte.example.org"))
        assert json.dumps(kept) == first


def test_secret_serves_a_control_plane(tmp_path: Path) -> None:
    """What is in the secret is what a control plane reads, so that replicas believe each other's tokens."""
    url = "https://flyte.example.org"
    with api(tmp_path) as (secrets, kept):
        make_secret(secrets, "login", login_files(url))
    for replica in ("one", "two"):
        directory = tmp_path / replica / "auth"
        directory.mkdir(parents=True, mode=0o700)
        for name, content in kept["login"]["data"].items():
            (directory / name).write_bytes(base64.b64decode(content))
    one, two = (Authority.open(tmp_path / replica, url) for replica in ("one", "two"))
    assert two.authenticate(one.cluster_token("west").text).cluster == "west"


def test_refused(tmp_path: Path) -> None:
    """An account that may not make secrets is told so, and nothing of the keys is in the message."""
    with api(tmp_path, refused=True) as (secrets, _), pytest.raises(UnavailableError, match="403"):
        make_secret(secrets, "login", {})


def test_command_migrates(tmp_path: Path) -> None:
    """Every database that is named is brought to the newest schema; again is no error."""
    urls = [f"sqlite:///{tmp_path / name}.db" for name in ("admin", "catalog")]
    for _ in range(2):
        done = CliRunner().invoke(command, [word for url in urls for word in ("--database-url", url)])
        assert done.exit_code == 0, done.output
    assert all((tmp_path / f"{name}.db").stat().st_size for name in ("admin", "catalog"))
