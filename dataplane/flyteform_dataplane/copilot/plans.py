"""What is copied for one attempt, on a command line and off it."""

from __future__ import annotations

import argparse
import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteidl.core.interface_pb2 import VariableMap
from flyteidl.core.tasks_pb2 import DataLoadingConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteform_dataplane.ports import Copying

# Flyte's, for a task that names none.
DEFAULT_INPUTS, DEFAULT_OUTPUTS = "/var/flyte/inputs", "/var/flyte/outputs"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to copy, and the command in between, which may be empty. The places are folders of a container."""

    config: DataLoadingConfig
    outputs: VariableMap
    inputs_uri: str
    output_prefix: str
    raw_output_prefix: str
    command: tuple[str, ...]

    @property
    def places(self) -> tuple[str, str]:
        """Where the command looks for its inputs and leaves its outputs."""
        given = self.config.input_path or DEFAULT_INPUTS, self.config.output_path or DEFAULT_OUTPUTS
        return given[0].rstrip("/"), given[1].rstrip("/")


def arguments(copying: Copying) -> tuple[str, ...]:
    """Return the arguments that say what to copy; a command may follow them."""
    return (
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
    parser.add_argument("command", nargs="*")
    read = parser.parse_args(given)
    return Plan(
        DataLoadingConfig.FromString(base64.b64decode(read.config)),
        VariableMap.FromString(base64.b64decode(read.outputs)),
        read.inputs,
        read.output_prefix,
        read.raw_output_prefix,
        tuple(read.command),
    )


def _text(message: DataLoadingConfig | VariableMap) -> str:
    return base64.b64encode(message.SerializeToString(deterministic=True)).decode()
