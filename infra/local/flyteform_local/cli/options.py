"""The options that `dev` and `demo` share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flyteform.cli.options import Duration
from flyteform.errors import InvalidInputError
from flyteform_controlplane.configuration import CONFIG_VARIABLE, is_configured

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteform_local.platform import PlatformOptions

PORT = click.IntRange(0, 65535)

_DEADLINES = {
    "queue": "Give up a task, a map or a child execution that waits longer before it runs.",
    "workflow": "End an execution that takes longer.",
    "node": "End a node that takes longer, with all its attempts and all below it.",
    "attempt": "End an attempt that takes longer, of a task that has no timeout of its own.",
}


def state_dir_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Where the platform keeps its data."""
    return click.option(
        "--state-dir",
        type=click.Path(file_okay=False, path_type=Path),
        help="Where all data lies; it survives a restart.  [default: the user's state directory]",
    )(function)


def address_options(grpc_port: int, http_port: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Where the platform listens: `--host`, `--grpc-port`, `--http-port`, with these default ports."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in (
            click.option(
                "--http-port",
                type=PORT,
                default=http_port,
                show_default=True,
                help="Port of REST and of objects; 0 picks a free one.",
            ),
            click.option(
                "--grpc-port",
                type=PORT,
                default=grpc_port,
                show_default=True,
                help="Port of gRPC; 0 picks a free one.",
            ),
            click.option(
                "--host",
                default="127.0.0.1",
                show_default=True,
                help="Address to listen on; loopback only without a login.",
            ),
        ):
            function = option(function)
        return function

    return decorate


def image_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Which interpreter runs the tasks of which image."""
    return click.option(
        "--image",
        "images",
        metavar="PATTERN=PYTHON",
        multiple=True,
        help="Run tasks whose image matches PATTERN with this Python; may be given several times.",
    )(function)


def connector_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Where tasks run that are somebody else's jobs."""
    return click.option(
        "--connector",
        "connectors",
        metavar="[TYPE,…=]HOST:PORT",
        multiple=True,
        help="Run what this connector service lists, or these task types, there; may be given several times.",
    )(function)


def deadline_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """How long anything may take: `--attempt-deadline` and the like for nodes, workflows and the time in a queue."""
    for what, meaning in _DEADLINES.items():
        function = click.option(
            f"--{what}-deadline",
            type=Duration(),
            default=0.0,
            metavar="TIME",
            help=f"{meaning}  [default: no limit]",
        )(function)
    return function


def config_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Where what the platform allows is written."""
    return click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar=CONFIG_VARIABLE,
        help="A file (YAML or TOML) with what the platform allows and where it listens; flags win over it.",
    )(function)


def platform_options(
    context: click.Context,
    *,
    state_dir: Path | None,
    config: Path | None,
    images: tuple[str, ...],
    connectors: tuple[str, ...] = (),
    stock: bool = False,
    **listening: Any,
) -> PlatformOptions:
    """Return what the command was told, by its flags, variables and the file, in this order of precedence."""
    from flyteform_dataplane.engine.graph import Deadlines
    from flyteform_local.platform import PlatformOptions
    from flyteform_local.state import default_state_dir

    deadlines = Deadlines(**{what: listening.pop(f"{what}_deadline", 0.0) for what in _DEADLINES})
    control_plane: dict[str, Any] = {}
    if is_configured(config, os.environ):
        from flyteform_controlplane.configuration.reading import configured, read_configuration

        told = configured(listening, context, read_configuration(config))
        if told.get("auth") and "auth" not in listening:
            raise InvalidInputError(
                f"`flyteform {context.info_name}` asks for no login, and the configuration does",
                remedy="use `flyteform dev`, or leave server.security.useAuth out",
            )
        listening = {name: told.pop(name) for name in listening}
        told.pop("auth", None)
        control_plane = told
    if stock:
        control_plane["stock"] = True
    directory = state_dir or default_state_dir()
    return PlatformOptions(
        directory,
        images=images,
        connectors=connectors,
        deadlines=deadlines,
        control_plane=control_plane,
        **listening,
    )


def quiet_grpc_forks() -> None:
    """Tell gRPC, before it is imported, that children of this process run other programs and never call it."""
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
