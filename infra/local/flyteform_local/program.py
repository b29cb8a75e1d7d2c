"""The program: stand up the platform on this machine, and declare the example project on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pulumi
from flyteform import CronSchedule
from flyteform.authoring.loading import load_module
from flyteform.pulumi import LaunchPlan, Project, Provider, Workflow
from flyteform_local.config import LocalConfig
from flyteform_local.pulumi import Platform
from flyteform_platform.config import read_config

if TYPE_CHECKING:
    from flyteform_local.config import Example

EXAMPLE = Path(__file__).parent / "examples" / "wine" / "wine_training.py"


def deploy(source: Path = EXAMPLE) -> Platform:
    """Deploy what the stack's configuration says; return the platform, for programs that declare more on it."""
    config = read_config(LocalConfig)
    platform = Platform(
        "platform",
        state_dir=config.state_dir or f"~/.local/state/flyteform-{pulumi.get_stack()}",
        grpc_port=config.grpc_port,
        http_port=config.http_port,
        images=config.images,
        connectors=config.connectors,
        retain_data=config.retain_data,
    )
    for name, output in (("endpoint", platform.endpoint), ("url", platform.url), ("log", platform.log)):
        pulumi.export(name, output)
    if config.example is not None:
        _declare(config.example, platform, source)
    return platform


def _declare(example: Example, platform: Platform, source: Path) -> None:
    """Declare the example: what `flyteform plan` would, over a platform whose address is known once it is up."""
    provider = Provider("flyteform", endpoint=platform.endpoint, insecure=True)
    # Who deletes the platform need not take apart, one by one, what is on it; on another one all of it is made anew.
    on = pulumi.ResourceOptions(provider=provider, deleted_with=platform, replace_with=[platform])
    wine = Project(
        example.project,
        name="Wine",
        description="Which cultivar a wine is of, by its chemistry",
        labels={"team": "demo"},
        opts=on,
    )
    train_wine = load_module(source).module.train_wine
    training = Workflow("training", train_wine, project=wine, domain=example.domain, opts=on)
    retraining = LaunchPlan(
        "every-minute",
        training,
        name="every-minute",
        default_inputs={"seed": 7},
        schedule=CronSchedule(schedule=example.schedule),
        opts=on,
    )
    pulumi.export("workflow", training.version)
    pulumi.export("launch-plan", retraining.version)
