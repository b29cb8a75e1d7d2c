"""Options that the commands which talk to a platform share."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable


def connection_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--endpoint`, `--insecure/--secure`, `--project` and `--domain`; the command gets them as `connection`."""

    @wraps(function)
    def with_connection(
        *args: Any,
        endpoint: str | None,
        insecure: bool | None,
        project: str | None,
        domain: str | None,
        **kwargs: Any,
    ) -> Any:
        from flyteform.client.config import ConnectionOptions

        return function(*args, connection=ConnectionOptions(endpoint, insecure, project, domain), **kwargs)

    decorated: Callable[..., Any] = with_connection
    for option in reversed(_CONNECTION):
        decorated = option(decorated)
    return decorated


_CONNECTION = (
    click.option(
        "--endpoint",
        metavar="HOST:PORT",
        help="gRPC address of the platform.  [default: FLYTEFORM_ENDPOINT, ~/.flyte/config.yaml, a local platform]",
    ),
    click.option(
        "--insecure/--secure",
        default=None,
        help="Plain text or TLS.  [default: plain text on loopback addresses only]",
    ),
    click.option("-p", "--project", help="Project of what names none.  [default: flytesnacks]"),
    click.option("-d", "--domain", help="Domain of what names none.  [default: development]"),
)

path_argument = click.argument("path", type=click.Path(exists=True, path_type=Path))

image_option = click.option(
    "--image",
    envvar="FLYTEFORM_IMAGE",
    help="Container image of tasks that name none.  [default: FLYTEFORM_IMAGE, flyteform/task]",
)

state_option = click.option(
    "--state",
    "state_file",
    type=click.Path(dir_okay=False, resolve_path=True, path_type=Path),
    help="File that records what is owned.  [default: .flyteform/ beside the declaration]",
)

approve_option = click.option(
    "-y", "--auto-approve", "approved", is_flag=True, help="Do not ask before writing to the platform."
)
