"""`flyteform demo`: the main job, from an empty machine to a served result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flyteform_local.cli.options import address_options, image_option, quiet_grpc_forks, state_dir_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command(short_help="Platform, plan, apply, execute, see: the main job on this machine.")
@click.option("--once", is_flag=True, help="End after the runs instead of serving on.")
@state_dir_option
@address_options(grpc_port=0, http_port=0)
@image_option
@click.pass_context
def demo(
    context: click.Context,
    *,
    once: bool,
    state_dir: Path | None,
    host: str,
    grpc_port: int,
    http_port: int,
    images: tuple[str, ...],
) -> None:
    """Start the embedded platform, apply an example project, run its launch plan on real data, and serve on.

    The example trains a classifier on the wine data that scikit-learn ships. Exits with 0 only if the runs SUCCEEDED.
    """
    from flyteform_local.demo import run_demo

    quiet_grpc_forks()
    from flyteform_local.platform import PlatformOptions
    from flyteform_local.state import default_state_dir

    options = PlatformOptions(
        state_dir=state_dir or default_state_dir(),
        host=host,
        grpc_port=grpc_port,
        http_port=http_port,
        images=images,
    )
    context.exit(run_demo(options, once=once))
