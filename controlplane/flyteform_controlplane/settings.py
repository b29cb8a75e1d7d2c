"""What an operator decides about a control plane's process."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flyteform.errors import InvalidInputError
from flyteform.objects.signing import KEY_BYTES
from flyteform_controlplane.dispatch.config import DispatchConfig
from flyteform_controlplane.domain.config import AdminConfig
from flyteform_controlplane.transport.grpc_server import MAX_RECEIVE_BYTES

if TYPE_CHECKING:
    from pathlib import Path

GRPC_PORT = 8089
HTTP_PORT = 8088
LARGEST_PORT = 65535
FEWEST_CONNECTIONS = 3  # one hears the other replicas, one serves, and one more
KEY_FILE = "signing.key"
_CLUSTER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}").fullmatch


@dataclass(frozen=True, slots=True)
class ControlPlaneSettings:
    """Settings of one control-plane process; a port of 0 picks a free one.

    `database_url` (`postgresql://user:password@host/name`) and `objects_prefix` are below `state_dir` unless they
    are given; replicas share both, and each has a `state_dir` of its own. `catalog_database_url` is where DataCatalog
    and CacheService keep what they know: in the same database unless it is given, too. `InvalidInputError` if a setting
    cannot be.
    """

    state_dir: Path
    host: str = "127.0.0.1"
    grpc_port: int = GRPC_PORT
    http_port: int = HTTP_PORT
    database_url: str = ""
    catalog_database_url: str = ""
    objects_prefix: str = ""
    # Pages that may call although there is no login; those served from loopback always may. "*" is Flyte's default
    # and lets every page in: only for a platform that asks for a login.
    cors_origins: tuple[str, ...] = ()
    # Whether the platform is ready only with a data plane connected here.
    needs_data_plane: bool = False
    admin: AdminConfig = field(default_factory=AdminConfig)
    # Whether callers need a token; without, only this machine is served.
    auth: bool = False
    # The clusters whose data planes get a client each, at the first start that names them.
    clusters: tuple[str, ...] = ()
    # How many connections to PostgreSQL this process opens at most, to each database that it uses.
    database_connections: int = 20
    # How many of a schedule's firings are made up for that were missed while the platform was down: the latest ones.
    catch_up: int = 1
    # How late a firing may be and still count as on time, and how many executions schedules create at once.
    punctuality: timedelta = timedelta(seconds=30)
    concurrent_launches: int = 16
    dispatch: DispatchConfig = field(default_factory=DispatchConfig)
    # The largest message that gRPC takes.
    max_message_bytes: int = MAX_RECEIVE_BYTES
    # Whether to serve what a stock FlyteAdmin does: of `flyteform.v1` only the link of data planes is there.
    stock: bool = False
    # Where clients reach HTTP, as http(s)://host[:port], if that is not the address that is listened on.
    public_url: str = ""

    @classmethod
    def embedded(cls, state_dir: Path, **settings: Any) -> ControlPlaneSettings:
        """Return the settings of a platform on one machine: everything below one directory, and a data plane."""
        return cls(state_dir, needs_data_plane=True, **settings)

    def __post_init__(self) -> None:
        """Check and complete."""
        if not self.auth:
            _check_loopback(self.host)
        elif not self.cors_origins:
            object.__setattr__(self, "cors_origins", ("*",))
        _check_login(self.clusters, self.public_url)
        for flag, port in (("--grpc-port", self.grpc_port), ("--http-port", self.http_port)):
            if not 0 <= port <= LARGEST_PORT:
                raise InvalidInputError(f"{flag} {port} is not a port", remedy=f"use 0 to {LARGEST_PORT}")
        if self.grpc_port == self.http_port != 0:
            raise InvalidInputError(
                f"gRPC and HTTP cannot share port {self.grpc_port}", remedy="choose another --grpc-port or --http-port"
            )
        if self.database_connections < FEWEST_CONNECTIONS:
            raise InvalidInputError(
                f"--database-connections {self.database_connections} is too few",
                remedy=f"use {FEWEST_CONNECTIONS} or more",
            )
        if self.catch_up < 0:
            raise InvalidInputError(f"--catch-up {self.catch_up} is negative", remedy="use 0 for none")
        self._complete(self.state_dir.expanduser().absolute())

    def _complete(self, directory: Path) -> None:
        """Say where everything is that was not given a place."""
        object.__setattr__(self, "state_dir", directory)
        if not self.database_url:
            object.__setattr__(self, "database_url", f"sqlite:///{directory / 'control.db'}")
        if not self.catalog_database_url:
            object.__setattr__(self, "catalog_database_url", self.database_url)
        if not self.objects_prefix:
            object.__setattr__(self, "objects_prefix", f"file://{directory / 'objects'}")


def _check_loopback(host: str) -> None:
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise InvalidInputError(
            f"the control plane cannot listen on {host}: it has no login, so it serves this machine alone",
            remedy="use 127.0.0.1, or turn the login on with --auth",
        )


def _check_login(clusters: tuple[str, ...], public_url: str) -> None:
    for cluster in clusters:
        if not _CLUSTER(cluster):
            raise InvalidInputError(
                f"--cluster {cluster!r} is not a cluster's name",
                remedy="use letters, digits, '.', '_' and '-', up to 63",
            )
    parts = urlsplit(public_url)
    if public_url and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.path or parts.query):
        raise InvalidInputError(
            f"--public-url {public_url} is not an address", remedy="write for example https://flyte.example.org"
        )


def signing_key(state_dir: Path) -> bytes:
    """Return the key for signed URLs, made at the first start; nobody but the owner can read its file."""
    path = state_dir / KEY_FILE
    if not path.exists():
        _create_key(path)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise InvalidInputError(f"{path} is not a signing key", remedy="delete it: the next start makes a new one")
    return key


def _create_key(path: Path) -> None:
    # Complete before it has its name, so that a crash cannot leave half a key.
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
        file.flush()
        os.fsync(descriptor)
    temporary.replace(path)
