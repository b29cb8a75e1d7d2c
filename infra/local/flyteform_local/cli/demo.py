"""`flyteform demo`: the main job, from an empty machine to a served result."""

from __future__ import annotations

from typing import Any

import click

from flyteform_local.cli.options import (
    address_options,
    config_option,
    image_option,
    platform_options,
    quiet_grpc_forks,
    state_dir_option,
)


@click.command(short_help="Platform, plan, apply, execute, see: the main job on this machine.")
@click.option("--once", is_flag=True, help="End after the runs instead of serving on.")
@state_dir_option
@address_options(grpc_port=0, http_port=0)
@image_option
@config_option
@click.pass_context
def demo(context: click.Context, /, *, once: bool, **options: Any) -> None:
    """Start the embedded platform, apply an example project, run its launch plan on real data, and serve on.

    The example trains a classifier on the wine data that scikit-learn ships. Exits with 0 only if the runs SUCCEEDED.
    """
    from flyteform_local.demo import run_demo

    quiet_grpc_forks()
    context.exit(run_demo(platform_options(context, **options), once=once))
