"""One control-plane process: everything assembled, started in order, and stopped in the opposite one."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from flyteform.errors import ConflictError, InvalidInputError
from flyteform.objects import open_store
from flyteform.objects.local import LocalStore
from flyteform.objects.signing import UrlSigner
from flyteform_controlplane.auth.clients import USER_CLIENT
from flyteform_controlplane.cluster_figures import ClusterFigures
from flyteform_controlplane.errors import ControlPlaneError
from flyteform_controlplane.metrics import Metrics
from flyteform_controlplane.parts import Databases, Listeners, assemble, stock_services
from flyteform_controlplane.readiness import Readiness
from flyteform_controlplane.rest.app import http_app
from flyteform_controlplane.rest.oauth import JWKS_PATH, TOKEN_PATH
from flyteform_controlplane.rest.objects import ObjectEndpoint
from flyteform_controlplane.scheduler.scheduler import SchedulerConfig
from flyteform_controlplane.services.auth_metadata import LoginConfig
from flyteform_controlplane.services.holdings import holdings
from flyteform_controlplane.settings import signing_key
from flyteform_controlplane.store.connections import PoolLimits
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.migrate import migrate
from flyteform_controlplane.store.seed import seed
from flyteform_controlplane.store.sql.store import SqlStore
from flyteform_controlplane.transport import ports
from flyteform_controlplane.transport.authentication import METADATA_KEY, authentication
from flyteform_controlplane.transport.conflicts import conflicts
from flyteform_controlplane.transport.grpc_server import GrpcServer
from flyteform_controlplane.transport.http_server import HttpServer
from flyteform_controlplane.transport.interceptors import STANDARD
from flyteform_controlplane.transport.methods import methods_of

if TYPE_CHECKING:
    from pathlib import Path

    from flyteform.objects.ports import ObjectStore
    from flyteform_controlplane.auth.authority import Authority, IssuedToken
    from flyteform_controlplane.auth.clusters import ClusterLogins
    from flyteform_controlplane.settings import ControlPlaneSettings
    from flyteform_controlplane.transport.calls import Interceptor

ITSELF = "control plane"
DATA_PLANE = "data plane"
DATABASE = "database"
GRACE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a control plane serves: `grpc` as host:port, `http` as a URL without a slash at its end."""

    grpc: str
    http: str


class ControlPlane:
    """A control plane in this process and event loop.

    `/healthcheck` says ready once everything in `readiness` is; what else has to be there can be reported to it as not
    ready before the start. `/readyz` and the health service also want the database to answer.
    """

    def __init__(self, settings: ControlPlaneSettings) -> None:
        self.readiness = Readiness(ITSELF, *([DATA_PLANE] if settings.needs_data_plane else []))
        self._reach = Readiness(DATABASE)
        self._settings = settings
        self._running = AsyncExitStack()
        self._grace = GRACE_SECONDS
        self._authority: Authority | None = None

    async def start(self) -> Addresses:
        """Bind, migrate, seed, serve; on an error whatever was started is stopped again.

        `FlyteformError` for a port that is in use, a state directory that cannot be written, a newer database.
        """
        try:
            return await self._start()
        except BaseException:
            await self._running.aclose()
            raise

    async def wait_until_ready(self) -> None:
        """Return as soon as everything is ready, as `/healthcheck` then says."""
        await self.readiness.wait()

    def cluster_token(self, cluster: str) -> IssuedToken:
        """Return a token for the data plane of a cluster; only once started, and where a login is asked for."""
        if self._authority is None:
            raise InvalidInputError("this control plane asks for no login", remedy="start it with --auth")
        return self._authority.cluster_token(cluster)

    async def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Take nothing new, give open calls `grace` seconds, then end them; again is no error."""
        self._grace = grace
        self.readiness.report(ITSELF, ready=False)
        await self._running.aclose()

    async def _start(self) -> Addresses:
        settings = self._settings
        _make_state_dir(settings.state_dir)
        ports.probe(settings.host, settings.grpc_port, flag="--grpc-port")
        listener = ports.listen(settings.host, settings.http_port, flag="--http-port")
        self._running.callback(listener.close)
        http = settings.public_url or f"http://{_address(_reachable(settings.host), listener.getsockname()[1])}"
        objects, endpoint = _objects(settings, f"{http}/objects")
        authority = self._authority = _authority(settings, http)
        databases = await self._databases()
        logins = _logins(authority, databases.admin)
        login = _login(http, authority)
        parts = assemble(
            databases,
            objects,
            settings.admin,
            login=login,
            scheduling=SchedulerConfig(
                catch_up=settings.catch_up,
                punctuality=settings.punctuality,
                concurrent_launches=settings.concurrent_launches,
            ),
            dispatching=settings.dispatch,
            listeners=self._listeners(logins),
        )
        metrics = Metrics(ClusterFigures(databases.admin))
        services = stock_services(parts.services) if settings.stock else parts.services
        methods = methods_of(services, (metrics.measure, *_interceptors(logins, databases)))
        app = http_app(
            methods,
            self.readiness,
            endpoint,
            version=version("flyteform"),
            origins=settings.cors_origins,
            reach=self._reach,
            authority=authority,
            metrics=metrics,
        )
        grpc_server, http_server = GrpcServer(methods, settings.max_message_bytes), HttpServer(app, listener)
        self._running.push_async_callback(lambda: asyncio.gather(grpc_server.stop(self._grace), http_server.stop()))
        grpc_port = await self._start_grpc(grpc_server)
        await http_server.start()
        for duty in parts.duties:
            await duty.start()
            self._running.push_async_callback(duty.stop)
        self.readiness.report(ITSELF)
        return Addresses(_address(_reachable(settings.host), grpc_port), http)

    def _listeners(self, logins: ClusterLogins | None) -> Listeners:
        def reached(answers: bool) -> None:
            self._reach.report(DATABASE, ready=answers)

        return Listeners(self._report_data_plane, reached, *(() if logins is None else (logins.look,)))

    async def _databases(self) -> Databases:
        admin = await self._database(self._settings.database_url)
        await seed(admin)
        if self._settings.catalog_database_url == self._settings.database_url:
            return Databases(admin, admin)
        try:
            return Databases(admin, await self._database(self._settings.catalog_database_url))
        except ControlPlaneError as error:
            raise type(error)(f"the data catalog's database: {error.message}", remedy=error.remedy) from error

    async def _database(self, url: str) -> Database:
        """Open a database, which is closed with all else, and bring its tables up to date."""
        connections = self._settings.database_connections
        limits = PoolLimits(kept=connections // 2, more=connections - connections // 2)
        database = Database(url, limits)
        self._running.push_async_callback(database.close)
        await migrate(database)
        return database

    async def _start_grpc(self, server: GrpcServer) -> int:
        settings = self._settings
        try:
            port = await server.start(_address(settings.host, settings.grpc_port))
        except RuntimeError as error:
            # Somebody took it between the probe and now.
            raise ConflictError(
                f"port {settings.grpc_port} on {settings.host} is in use", remedy="choose another with --grpc-port"
            ) from error
        self._report_health(server)
        return port

    def _report_data_plane(self, connected: bool) -> None:
        if self._settings.needs_data_plane:
            self.readiness.report(DATA_PLANE, ready=connected)

    def _report_health(self, server: GrpcServer) -> None:
        reports: set[asyncio.Task[None]] = set()

        def report(_changed: bool) -> None:
            task = asyncio.create_task(server.report(ready=self.readiness.ready and self._reach.ready))
            reports.add(task)
            task.add_done_callback(reports.discard)

        self.readiness.listen(report)
        self._reach.listen(report)


def _objects(settings: ControlPlaneSettings, url: str) -> tuple[ObjectStore, ObjectEndpoint | None]:
    signer = UrlSigner(signing_key(settings.state_dir), url)
    store = open_store(settings.objects_prefix, signer=signer)
    # Other stores than the local one sign for services of their own.
    return store, ObjectEndpoint(store, signer) if isinstance(store, LocalStore) else None


def _authority(settings: ControlPlaneSettings, http: str) -> Authority | None:
    if not settings.auth:
        return None
    # Its cryptography takes 80 ms and 10 MB, which a platform without login does not pay.
    from flyteform_controlplane.auth.authority import Authority

    return Authority.open(settings.state_dir, http, settings.clusters)


def _logins(authority: Authority | None, database: Database) -> ClusterLogins | None:
    if authority is None:
        return None
    from flyteform_controlplane.auth.clusters import ClusterLogins  # as above

    return ClusterLogins(authority, database, SqlStore())


def _interceptors(logins: ClusterLogins | None, databases: Databases) -> tuple[Interceptor, ...]:
    login = () if logins is None else (authentication(logins.authenticate), holdings(databases.admin))
    # SQLite's transactions come one after the other.
    alone = databases.admin.is_sqlite and databases.catalog.is_sqlite
    return (*STANDARD, *login, *(() if alone else (conflicts,)))


def _login(http: str, authority: Authority | None) -> LoginConfig:
    if authority is None:
        return LoginConfig(http)
    return LoginConfig(
        http,
        client_id=USER_CLIENT,
        audience=authority.audience,
        metadata_key=METADATA_KEY,
        token_path=TOKEN_PATH,
        jwks_path=JWKS_PATH,
    )


def _make_state_dir(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(
            f"the state directory {directory} cannot be made: {error.strerror}",
            remedy="choose another with --state-dir",
        ) from error


def _reachable(host: str) -> str:
    """Return a name for this machine where it listens on all of its addresses."""
    return socket.gethostname() if host in {"", "0.0.0.0", "::"} else host  # noqa: S104 - compared, not bound


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
