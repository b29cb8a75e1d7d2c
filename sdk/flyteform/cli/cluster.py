"""`flyteform cluster`: hold clusters back, let them work again, and let their data planes in for the first time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import click

from flyteform.cli.asking import ask
from flyteform.cli.options import connection_options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from flyteform.client.clusters import ClusterClient
    from flyteform.client.config import ConnectionOptions
    from flyteform.proto.flyteform.v1.clusters_pb2 import Cluster, CreateBootstrapTokenResponse

_POLL_SECONDS = 1.0


@asynccontextmanager
async def calling(connection: ConnectionOptions) -> AsyncIterator[ClusterClient]:
    """Ask a platform about its clusters; one that knows none of them says so in a sentence."""
    from flyteform.client.admin import connect
    from flyteform.client.clusters import ClusterClient
    from flyteform.client.config import resolve
    from flyteform.client.errors import UnsupportedError

    config = resolve(connection)
    async with connect(config) as client:
        try:
            yield ClusterClient(client.caller)
        except UnsupportedError as error:
            raise UnsupportedError(
                f"{client.caller.endpoint} has no clusters that could be listed or held back: it is a stock FlyteAdmin",
                remedy="its clusters are in its own configuration (clusterConfigs and labelClusterMap)",
            ) from error


@click.group(short_help="Drain, cordon and onboard clusters.")
def cluster() -> None:
    """Hold clusters back, let them work again, and let their data planes in for the first time."""


@cluster.command(short_help="Give a cluster nothing more, for good.")
@click.argument("name")
@click.option("--wait", is_flag=True, help="Return when nothing is left on it.")
@connection_options
def drain(name: str, *, connection: ConnectionOptions, wait: bool) -> None:
    """Give the cluster NAME nothing more; what it holds runs to its end, then it is drained."""

    async def act(client: ClusterClient) -> Cluster:
        from flyteform.errors import NotFoundError

        found = await client.drain(name)
        shown = -1
        while wait and not found.drained:
            if found.held != shown:
                shown = found.held
                click.echo(f"{name}: {shown} executions left", err=True)
            await asyncio.sleep(_POLL_SECONDS)
            looked = await client.get(name)
            if looked is None:
                raise NotFoundError(f"the cluster {name!r} was deleted meanwhile")
            found = looked
        return found

    _act(connection, act)


@cluster.command(short_help="Give a cluster nothing more, for now.")
@click.argument("name")
@connection_options
def cordon(name: str, *, connection: ConnectionOptions) -> None:
    """Give the cluster NAME nothing more, for now; what it holds runs on."""
    _act(connection, lambda client: client.cordon(name))


@cluster.command(short_help="Give a cluster work again.")
@click.argument("name")
@connection_options
def uncordon(name: str, *, connection: ConnectionOptions) -> None:
    """Give the cluster NAME work again, after a drain or a cordon."""
    _act(connection, lambda client: client.uncordon(name))


@cluster.command(short_help="Give up a lost cluster, with all that it holds.")
@click.argument("name")
@click.option("-y", "--auto-approve", "approved", is_flag=True, help="Do not ask.")
@connection_options
def abandon(name: str, *, connection: ConnectionOptions, approved: bool) -> None:
    """Give up the lost cluster NAME, which does not come back: the executions that it holds fail.

    They may still run there, where nobody hears them. Should it come back all the same, it is told to stop them.
    """
    from flyteform.cli.wording import count

    ended = asyncio.run(_abandon(connection, name, approved=approved))
    click.echo(f"{name}: {count(ended, 'execution')} ended")


async def _abandon(connection: ConnectionOptions, name: str, *, approved: bool) -> int:
    from flyteform.cli.wording import count

    async with calling(connection) as client:
        # Of one that is not there the platform says so itself.
        if not approved and (found := await client.get(name)) is not None:
            question = f"{name} holds {count(found.held, 'execution')}. End them?"
            ask(question, to="give it up", declined="the cluster was left as it is")
        return (await client.abandon(name)).ended


@cluster.command(short_help="Make a token for the first login of a cluster's data plane.")
@click.argument("name")
@click.option("--ttl", type=click.IntRange(1, 24 * 60), default=60, show_default=True, metavar="MINUTES")
@connection_options
def token(name: str, *, connection: ConnectionOptions, ttl: int) -> None:
    """Print a token with which the data plane of the cluster NAME logs in once; from then on it has a key of its own.

    Tokens that were made before and not used are good no more. A cluster with an identity needs none.
    """
    made = asyncio.run(_make_token(connection, name, ttl))
    click.echo(made.token)
    until = made.expires_at.ToDatetime().strftime("%Y-%m-%d %H:%M:%S")
    click.echo(f"good once, until {until} UTC; it is not shown again", err=True)


async def _make_token(connection: ConnectionOptions, name: str, minutes: int) -> CreateBootstrapTokenResponse:
    from flyteform.proto.flyteform.v1.clusters_pb2 import CreateBootstrapTokenRequest, CreateBootstrapTokenResponse

    async with calling(connection) as client:
        request = CreateBootstrapTokenRequest(name=name)
        request.ttl.FromSeconds(60 * minutes)
        service = "flyteform.v1.ClusterService"
        return await client.caller.call(service, "CreateBootstrapToken", request, CreateBootstrapTokenResponse)


def _act(connection: ConnectionOptions, action: Callable[[ClusterClient], Awaitable[Cluster]]) -> None:
    from flyteform.cli.get import state_of

    async def act() -> Cluster:
        async with calling(connection) as client:
            return await action(client)

    found = asyncio.run(act())
    state = "DRAINED" if found.drained else state_of(found)
    left = f", {found.held} executions run on" if found.held and state != "READY" else ""
    click.echo(f"{found.name}: {state}{left}")
