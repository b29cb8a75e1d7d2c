"""`python -m flyteform_controlplane`: one control plane until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from pathlib import Path
from typing import Any

import click
import uvloop

from flyteform.errors import FlyteformError
from flyteform_controlplane import logs
from flyteform_controlplane.configuration import CONFIG_VARIABLE, is_configured
from flyteform_controlplane.server import ControlPlane
from flyteform_controlplane.settings import GRPC_PORT, HTTP_PORT, ControlPlaneSettings


@click.command()
@click.option("--state-dir", type=click.Path(path_type=Path), required=True, help="Where data and keys are kept.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; with --auth any, else loopback."
)
@click.option("--grpc-port", default=GRPC_PORT, show_default=True, help="0 picks a free one.")
@click.option("--http-port", default=HTTP_PORT, show_default=True, help="0 picks a free one.")
@click.option(
    "--database-url",
    default="",
    envvar="FLYTEFORM_DATABASE_URL",
    help="postgresql://user:password@host/name, better in FLYTEFORM_DATABASE_URL; by default SQLite in --state-dir.",
)
@click.option(
    "--catalog-database-url",
    default="",
    envvar="FLYTEFORM_CATALOG_DATABASE_URL",
    help="The database of DataCatalog and CacheService, in the same way; by default the same one.",
)
@click.option("--objects-prefix", default="", help="URI of the object store; by default in the state directory.")
@click.option(
    "--database-connections",
    default=20,
    show_default=True,
    envvar="FLYTEFORM_DATABASE_CONNECTIONS",
    help="How many connections to PostgreSQL to open at most, to each database.",
)
@click.option(
    "--catch-up",
    default=1,
    show_default=True,
    envvar="FLYTEFORM_CATCH_UP",
    help="How many firings of a schedule to make up for after a standstill: the latest ones.",
)
@click.option("--auth", is_flag=True, help="Ask every caller for a token; the first start makes keys and clients.")
@click.option("--cluster", "clusters", multiple=True, help="Make a client for this cluster's data plane; repeatable.")
@click.option("--stock", is_flag=True, help="Serve FlyteIDL alone, as a stock FlyteAdmin does: no flyteform.v1.")
@click.option("--public-url", default="", help="Where clients reach HTTP, if that is not the address listened on.")
@click.option(
    "--log-level", default="INFO", show_default=True, type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"])
)
@click.option(
    "--log-format",
    default=logs.TEXT,
    show_default=True,
    envvar=logs.ENVIRONMENT,
    type=click.Choice(logs.FORMATS),
    help="json writes one object per line.",
)
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar=CONFIG_VARIABLE,
    help="A file (YAML or TOML) with what the platform allows and where it listens; flags win over it.",
)
@click.pass_context
def command(
    context: click.Context, /, *, public_url: str, log_level: str, log_format: str, config: Path | None, **options: Any
) -> None:
    """Serve a flyteform control plane: gRPC, REST and objects."""
    logs.configure(log_level, log_format)
    settings = {"public_url": public_url.rstrip("/"), **options}
    if is_configured(config, os.environ):
        from flyteform_controlplane.configuration.reading import configured, read_configuration

        settings = configured(settings, context, read_configuration(config))
    uvloop.run(_serve(ControlPlaneSettings(**settings)))


async def _serve(settings: ControlPlaneSettings) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    control_plane = ControlPlane(settings)
    addresses = await control_plane.start()
    # What is there by now stays: Python's collector of cycles shall not walk over it, 100 ms long, while calls wait.
    gc.collect()
    gc.freeze()
    try:
        click.echo(f"grpc={addresses.grpc} http={addresses.http}")
        await stopped.wait()
    finally:
        await control_plane.stop()


def main() -> int:
    """Run the command; 0 after a requested end, 1 after any error, told in one or two lines."""
    try:
        command(standalone_mode=False)
    except click.ClickException as error:
        return _fail(error.format_message(), None)
    except FlyteformError as error:
        return _fail(error.message, error.remedy)
    except click.Abort:
        return 1
    return 0


def _fail(message: str, remedy: str | None) -> int:
    click.echo(f"Error: {message}", err=True)
    if remedy:
        click.echo(f"  → {remedy}", err=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
