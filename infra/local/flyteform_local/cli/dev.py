"""`flyteform dev`: the embedded platform alone, until it is ended."""

from __future__ import annotations

from typing import Any

import click

from flyteform_local.cli.options import (
    address_options,
    config_option,
    connector_option,
    deadline_options,
    image_option,
    platform_options,
    quiet_grpc_forks,
    state_dir_option,
)


@click.command(short_help="Start the embedded platform on this machine.")
@state_dir_option
@address_options(grpc_port=8089, http_port=8088)
@image_option
@connector_option
@deadline_options
@config_option
@click.option("--auth", is_flag=True, help="Ask every caller for a token; allows --host to be any address.")
@click.option("--stock", is_flag=True, help="Serve FlyteIDL alone, as a stock FlyteAdmin does: no flyteform.v1.")
@click.pass_context
def dev(context: click.Context, /, **options: Any) -> None:
    """Start the embedded platform: control plane and data plane in one process tree, all data in one directory.

    It serves until Ctrl-C or SIGTERM. Data survives a restart; executions that were running go on.
    """
    quiet_grpc_forks()
    from flyteform_local.serve import serve

    serve(platform_options(context, **options))
