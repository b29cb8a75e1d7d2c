"""The options that `dev` and `demo` share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

PORT = click.IntRange(0, 65535)


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


def quiet_grpc_forks() -> None:
    """Tell gRPC, before it is imported, that children of this process run other programs and never call it."""
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
