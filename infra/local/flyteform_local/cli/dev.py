"""`flyteform dev`: the embedded platform alone, until it is ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flyteform_local.cli.options import address_options, image_option, quiet_grpc_forks, state_dir_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command(short_help="Start the embedded platform on this machine.")
@state_dir_option
@address_options(grpc_port=8089, http_port=8088)
@image_option
@click.option("--auth", is_flag=True, help="Ask every caller for a token; allows --host to be any address.")
def dev(
    *, state_dir: Path | None, host: str, grpc_port: int, http_port: int, images: tuple[str, ...], auth: bool
) -> None:
    """Start the embedded platform: control plane and data plane in one process tree, all data in one directory.

    It serves until Ctrl-C or SIGTERM. Data survives a restart; executions that were running go on.
    """
    quiet_grpc_forks()
    from flyteform_local.platform import PlatformOptions
    from flyteform_local.serve import serve
    from flyteform_local.state import default_state_dir

    options = PlatformOptions(
        state_dir=state_dir or default_state_dir(),
        host=host,
        grpc_port=grpc_port,
        http_port=http_port,
        images=images,
        auth=auth,
    )
    serve(options)
