"""Stacks that stand up platforms on this machine, and what tests ask of these."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyteform_local.program import EXAMPLE
from flyteform_local.starting import stop
from flyteform_local.state import Holder, read_holder
from support.pulumi.cli import Cli
from support.pulumi.engine import Engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# The shipped program, with the example beside it, so that tests can change a task.
SHIPPED = """from pathlib import Path

from flyteform_local.program import deploy

deploy(Path(__file__).parent / "wine_training.py")
"""
ALONE = """import json

import pulumi
from flyteform_local.pulumi import Platform

platform = Platform("platform", **json.loads(pulumi.Config().require("arguments")))
for name in ("endpoint", "url", "state", "state_dir"):
    pulumi.export(name, getattr(platform, name))
"""
PASSPHRASE = "swordfish"  # noqa: S105 - of states of tests
TOKEN = "flyteform-embedded:index:Platform"  # noqa: S105 - the name of a type


class Machine:
    """A stack whose platform may run when a test has failed, and is stopped then."""

    def __init__(self, folder: Path, state_dir: Path, *, real: bool = False) -> None:
        self.folder = folder
        self.state_dir = state_dir
        self.folders = {state_dir}
        folder.mkdir(parents=True, exist_ok=True)
        make = Cli if real else Engine
        environment = {"FLYTEFORM_BUNDLES": str(folder / "bundles"), "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE}
        self.engine: Any = make(folder, environment=environment)

    def ship(self, **platform: Any) -> None:
        """Write the shipped program, with this configuration of its platform."""
        settings = {"stateDir": str(self.state_dir), "grpcPort": 0, "httpPort": 0, **platform}
        self._write(SHIPPED, {"program:platform": json.dumps(settings)})
        (self.folder / "wine_training.py").write_text(EXAMPLE.read_text())

    def write(self, program: str = ALONE, **arguments: Any) -> None:
        """Write a program with a platform of these arguments."""
        given = {"state_dir": str(self.state_dir), **arguments}
        self.state_dir = Path(given["state_dir"])
        self.folders.add(self.state_dir)
        self._write(program, {"program:arguments": json.dumps(given)})

    def _write(self, program: str, config: dict[str, str]) -> None:
        (self.folder / "__main__.py").write_text(program)
        self.engine.config = config

    @property
    def holder(self) -> Holder | None:
        """Who runs a platform on the directory."""
        return read_holder(self.state_dir)

    @property
    def pid(self) -> int:
        """The number of the platform's process."""
        holder = self.holder
        assert holder is not None, f"no platform runs on {self.state_dir}"
        return holder.process.pid

    @property
    def seen_by_platform(self) -> bytes:
        """The environment of the platform's process."""
        return Path(f"/proc/{self.pid}/environ").read_bytes()

    async def kill(self) -> None:
        """Kill the platform as the kernel would."""
        holder = self.holder
        assert holder is not None
        holder.process.send(signal.SIGKILL)
        async with asyncio.timeout(60):
            while holder.process.runs:  # noqa: ASYNC110 - the kernel sets no event
                await asyncio.sleep(0.02)


@asynccontextmanager
async def machine(folder: Path, *, name: str = "program", real: bool = False) -> AsyncIterator[Machine]:
    """Yield a stack with a state directory of its own; stop what it left."""
    made = Machine(folder / name, folder / f"{name}-state", real=real)
    try:
        yield made
    finally:
        for state_dir in made.folders:
            if (holder := read_holder(state_dir)) is not None:
                await stop(state_dir, holder.process)
