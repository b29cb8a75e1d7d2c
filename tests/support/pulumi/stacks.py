"""Stacks of tests: a control plane, and an engine that runs programs against it."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from support.control_plane import control_plane
from support.pulumi.cli import Cli
from support.pulumi.engine import Engine
from support.pulumi.programs import SIMPLE, TASKS, write_program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flyteform.client.admin import AdminClient

OWN, REAL = "the tests' own engine on Pulumi's protocol", "the real Pulumi CLI"


@dataclass
class Stack:
    """A program's stack and the platform that it is for."""

    engine: Engine
    client: AdminClient

    def write(self, program: str = SIMPLE, tasks: str = TASKS) -> None:
        """Write the program."""
        write_program(self.engine.folder, program, tasks)

    @property
    def plugin_log(self) -> str:
        """What the provider's process wrote to its error output."""
        log = self.engine.folder / "plugin.log"
        return log.read_text() if log.is_file() else ""


@asynccontextmanager
async def stack_in(folder: Path, *, stock: bool = False, endpoint: str = "") -> AsyncIterator[Stack]:
    """Make a stack on a platform of its own, run by the tests' engine."""
    async with control_plane(folder, stock=stock) as client:
        address = endpoint or client.config.endpoint
        engine = Engine(
            folder / "program",
            config={"flyteform:endpoint": address, "program:endpoint": address, "program:secret": "swordfish"},
            environment={"FLYTEFORM_BUNDLES": str(folder / "bundles")},
        )
        stack = Stack(engine, client)
        stack.write()
        yield stack


def real_engine(stack: Stack) -> Cli:
    """Return the real CLI for the same program and platform."""
    return Cli(stack.engine.folder, stack.engine.config, stack.engine.environment)


def has_cli() -> bool:
    """Tell whether the real CLI is on PATH."""
    return shutil.which("pulumi") is not None
