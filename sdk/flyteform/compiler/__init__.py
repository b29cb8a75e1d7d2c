"""The compiler: specifications of tasks and workflows to the closures that a data plane runs. Pure, without I/O.

It follows Flyte 1's compiler, so a stock FlyteAdmin makes the same closures, errors and digests of the same input.
"""

from flyteform.compiler.building import LaunchPlanInterface
from flyteform.compiler.casting import can_cast
from flyteform.compiler.defaults import apply_defaults
from flyteform.compiler.digest import digest
from flyteform.compiler.errors import CompileError, CompileErrors, ErrorKind
from flyteform.compiler.ids import IdKey
from flyteform.compiler.literals import literal_matches, type_of_literal
from flyteform.compiler.requirements import Requirements, requirements
from flyteform.compiler.tasks import compile_task, is_quantity
from flyteform.compiler.workflow import compile_workflow

__all__ = [
    "CompileError",
    "CompileErrors",
    "ErrorKind",
    "IdKey",
    "LaunchPlanInterface",
    "Requirements",
    "apply_defaults",
    "can_cast",
    "compile_task",
    "compile_workflow",
    "digest",
    "is_quantity",
    "literal_matches",
    "requirements",
    "type_of_literal",
]
