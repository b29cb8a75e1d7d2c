"""Flyte's `echo` task type: no process, the outputs are the inputs of the same names. Made for measuring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core.literals_pb2 import LiteralMap

from flyteform_dataplane.errors import UserError

if TYPE_CHECKING:
    from flyteform_dataplane.plugins.ports import TaskContext


class EchoPlugin:
    """Gives a task its inputs back."""

    @property
    def id(self) -> str:
        """Flyte's name of the plugin."""
        return "echo"

    @property
    def task_types(self) -> tuple[str, ...]:
        """Flyte's name of the type."""
        return ("echo",)

    def prepare(self, context: TaskContext) -> LiteralMap:
        """Return the inputs under the outputs' names; `UserError` for an output that is no input."""
        outputs = LiteralMap()
        for name in context.task.interface.outputs.variables:
            if name not in context.inputs.literals:
                raise UserError(f"echo task {context.task.id.name} has an output {name!r} but no input of that name")
            outputs.literals[name].CopyFrom(context.inputs.literals[name])
        return outputs
