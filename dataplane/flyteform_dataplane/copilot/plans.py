"""What is copied for one attempt, on a command line and off it."""

from __future__ import annotations

import argparse
import base64
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from flyteidl.core.interface_pb2 import VariableMap
from flyteidl.core.tasks_pb2 import DataLoadingConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteform_dataplane.ports import Copying

# Flyte's, for a task that names none.
DEFAULT_INPUTS, DEFAULT_OUTPUTS = "/var/flyte/inputs", "/var/flyte/outputs"

# All of it with the command in between, or what one container of a pod does of it.
Part: TypeAlias = Literal["all", "download", "upload"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to copy, and the command in between, if there is one. The places are folders of a container.

    Whoever uploads for a command in another container waits until `exit_code_file` has that command's exit code.
    `timeout` is how many seconds copying may take.
    """

    config: DataLoadingConfig
    outputs: VariableMap
    inputs_uri: str
    output_prefix: str
    raw_output_prefix: str
    command: tuple[str, ...]
    part: Part = "all"
    exit_code_file: Path = Path("/dev/null")
    timeout: float = 0.0

    @property
    def places(self) -> tuple[str, str]:
        """Where the command looks for its inputs and leaves its outputs."""
        return places(self.config)


def places(config: DataLoadingConfig) -> tuple[str, str]:
    """Return the folder of a command's inputs and that of its outputs."""
    given = config.input_path or DEFAULT_INPUTS, config.output_path or DEFAULT_OUTPUTS
    return given[0].rstrip("/"), given[1].rstrip("/")


def arguments(
    copying: Copying, part: Part = "all", *, exit_code_file: str = "/dev/null", timeout: float = 0.0
) -> tuple[str, ...]:
    """Return the arguments that say what to copy; a command may follow them. No `timeout` is no limit."""
    return (
        f"--part={part}",
        f"--exit-code-file={exit_code_file}",
        f"--timeout={timeout:g}",
        f"--config={_text(copying.config)}",
        f"--outputs={_text(copying.outputs)}",
        f"--inputs={copying.inputs_uri}",
        f"--output-prefix={copying.output_prefix}",
        f"--raw-output-prefix={copying.raw_output_prefix}",
        "--",
    )


def parse(given: Sequence[str]) -> Plan:
    """Read them; argparse ends the program for what no plan of ours says."""
    parser = argparse.ArgumentParser(prog="flyteform_dataplane.copilot")
    for name in ("config", "outputs", "inputs", "output-prefix", "raw-output-prefix"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--part", default="all", choices=("all", "download", "upload"))
    parser.add_argument("--exit-code-file", type=Path, default=Path("/dev/null"))
    parser.add_argument("--timeout", type=float, default=0.0)
    parser.add_argument("command", nargs="*")
    read = parser.parse_args(given)
    return Plan(
        DataLoadingConfig.FromString(base64.b64decode(read.config)),
        VariableMap.FromString(base64.b64decode(read.outputs)),
        read.inputs,
        read.output_prefix,
        read.raw_output_prefix,
        tuple(read.command),
        read.part,
        read.exit_code_file,
        read.timeout,
    )


def _text(message: DataLoadingConfig | VariableMap) -> str:
    return base64.b64encode(message.SerializeToString(deterministic=True)).decode()
