"""The entry point inside a task container: read the inputs, run the task, write its outputs or its error.

Flyte's rules: the exit code is 0 also when the task fails, as `error.pb` tells the engine about it; an exception of the
user's code is final unless it is a retryable `FlyteformError` (`RecoverableError`); what goes wrong around the code,
such as reading an object, may be tried again.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from flyteform.errors import FlyteformError, InvalidInputError, TaskFailedError
from flyteform.objects import direct

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flyteidl.core import errors_pb2, literals_pb2

    from flyteform.authoring.tasks import PythonTask

_PLACES = ("--raw-output-data-prefix", "--checkpoint-path", "--prev-checkpoint")
_VALUED = ("--inputs", "--output-prefix", "--bundle", "--bound", "--image", "--module", "--task", *_PLACES)
_NO_CHECKPOINT = '""'  # what Flyte passes where no attempt went before
_NEEDED = ("--inputs", "--output-prefix", "--module", "--task")
_MESSAGE_BYTES = 100_000  # Flyte keeps no more of an error message


@dataclass(frozen=True, slots=True)
class Arguments:
    """What the engine passes: URIs of the inputs, of the directory for the results and of the code, and the task.

    `bound` names the inputs that every item of a map task gets whole, `image` where the tasks that a dynamic one makes
    run. The places of raw data and of checkpoints, this
    attempt's and that of the one before, may be empty.
    """

    inputs: str
    output_prefix: str
    module: str
    task: str
    bundle: str | None = None
    mapped: bool = False
    bound: tuple[str, ...] = ()
    image: str = ""
    raw_output_prefix: str = ""
    checkpoint: str = ""
    previous_checkpoint: str = ""

    @property
    def index(self) -> int | None:
        """Which item of a map this attempt is for."""
        return _index() if self.mapped else None


class _UserCodeError(InvalidInputError):
    """The task's module cannot be imported, or the inputs or outputs are not what its annotations say."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one attempt; the exit code is 1 only if no result could be written (or `FLYTE_FAIL_ON_ERROR` is true)."""
    try:
        arguments = _parse(sys.argv[1:] if argv is None else argv)
    except InvalidInputError as error:
        print(f"Error: {error.message}", file=sys.stderr)  # noqa: T201 - for the container's log
        return 1
    try:
        name, result = _execute(arguments)
        direct.write(f"{arguments.output_prefix}/{name}", result)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, the engine has to learn of it
        return _report(arguments, error)
    return 0


def program() -> NoReturn:
    """Be the program `flyteform-execute`: run one attempt and end this process with its exit code.

    What the attempt wrote decides, not its exit code; but an interpreter that takes itself apart beside threads of
    native libraries (the object store's runtime, those that the user's code has loaded) may die of a signal, and then
    people see a pod that failed although its task has succeeded. So all that an interpreter does for its program is
    done here, in its order (threads, then exit functions, those of logging and multiprocessing too, then buffers), and
    the taking apart is left out. Only for a process of our own: whoever calls `main` goes on.
    """
    import atexit
    import threading
    from contextlib import suppress

    code = main()
    with suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - as the interpreter itself does
    with suppress(BaseException):
        atexit._run_exitfuncs()  # noqa: SLF001 - as above
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or none at all
            stream.flush()
    os._exit(code)


def preload() -> None:
    """Import all that an attempt needs, so that processes forked from this one start at once; starts no thread."""
    for name in (
        "asyncio",
        "importlib.machinery",
        "msgpack",
        "tarfile",
        "flyteidl.core.errors_pb2",
        "flyteidl.core.literals_pb2",
        "google.protobuf.json_format",
        "flyteform.authoring",
        "flyteform.authoring.calls",
        "flyteform.authoring.context",
        "flyteform.authoring.tracebacks",
        "flyteform.authoring.tracing",
        "flyteform.objects.local",
        "flyteform.types",
        "flyteform.types.guess",
        "flyteform.unpacking",
    ):
        importlib.import_module(name)


def _parse(argv: Sequence[str]) -> Arguments:
    given: dict[str, str] = {}
    mapped = False
    words = iter(argv)
    for word in words:
        if word == "--map":
            mapped = True
        elif word in _VALUED:
            given[word] = next(words, "")
        else:
            raise InvalidInputError(f"flyteform-execute: unknown argument {word!r}")
    missing = [name for name in _NEEDED if not given.get(name)]
    if missing:
        raise InvalidInputError(f"flyteform-execute: {missing[0]} is missing")
    return Arguments(
        inputs=given["--inputs"],
        output_prefix=given["--output-prefix"].rstrip("/"),
        module=given["--module"],
        task=given["--task"],
        bundle=given.get("--bundle") or None,
        mapped=mapped,
        bound=tuple(filter(None, given.get("--bound", "").split(","))),
        image=given.get("--image", ""),
        **_places(given),
    )


def _places(given: Mapping[str, str]) -> dict[str, str]:
    raw, destination, previous = (given.get(name, "").rstrip("/") for name in _PLACES)
    previous = "" if previous == _NO_CHECKPOINT else previous
    return {"raw_output_prefix": raw, "checkpoint": destination, "previous_checkpoint": previous}


def _execute(arguments: Arguments) -> tuple[str, bytes]:
    """Return the name and the bytes of the result: the outputs' literal map, or what a dynamic task made."""
    from flyteidl.core import literals_pb2

    from flyteform.authoring.context import Checkpoint, enter

    if arguments.bundle is not None:
        from flyteform.unpacking import use_bundle

        use_bundle(arguments.bundle, direct.read)
    elif os.getcwd() not in sys.path:  # noqa: PTH109 - pathlib is slow to load
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as above
    task = _load(arguments)
    literals = literals_pb2.LiteralMap.FromString(direct.read(arguments.inputs)).literals
    checkpoint = Checkpoint(arguments.checkpoint, arguments.previous_checkpoint)
    enter(raw_output_prefix=arguments.raw_output_prefix, checkpoint=checkpoint, index=arguments.index)
    inputs = _inputs(task, literals, arguments)
    if task.dynamic:
        return _unfold(task, inputs, arguments)
    return "outputs.pb", _literals(task, task.run(inputs))


def _literals(task: PythonTask, outputs: Mapping[str, Any]) -> bytes:
    from flyteidl.core import literals_pb2

    message = literals_pb2.LiteralMap()
    types = task.interface.outputs_by_name
    for name, value in outputs.items():
        _fill(message.literals[name], value, types[name].python_type)
    return message.SerializeToString(deterministic=True)


def _unfold(task: PythonTask, inputs: Mapping[str, Any], arguments: Arguments) -> tuple[str, bytes]:
    """Return the nodes that a dynamic task makes, or its outputs if it makes none."""
    from flyteidl.core.identifier_pb2 import TASK, Identifier

    from flyteform.authoring.graph import Constant
    from flyteform.authoring.tracing import unfold
    from flyteform.idl.dynamics import futures
    from flyteform.idl.tasks import Placement

    graph = unfold(task, inputs)
    constants = {name: binding.value for name, binding in graph.outputs if isinstance(binding, Constant)}
    if not graph.nodes:
        return "outputs.pb", _literals(task, constants)
    part = {
        name: os.environ.get(f"FLYTE_INTERNAL_TASK_{name.upper()}", "") for name in ("project", "domain", "version")
    }
    own = Identifier(resource_type=TASK, name=task.name, **part)
    job = futures(task, graph, own, Placement(arguments.image, arguments.bundle))
    return "futures.pb", job.SerializeToString(deterministic=True)


def _fill(literal: literals_pb2.Literal, value: Any, python_type: Any) -> None:
    from flyteform.types.registry import family_of

    family_of(python_type).fill(literal, value)


def _load(arguments: Arguments) -> PythonTask:
    from flyteform.authoring.tasks import PythonTask

    try:
        module = importlib.import_module(arguments.module)
    except (Exception, SystemExit) as error:
        raise _UserCodeError(f"the module {arguments.module} cannot be imported: {_summary(error)}") from error
    task = getattr(module, arguments.task, None)
    if not isinstance(task, PythonTask):
        raise _UserCodeError(f"the module {arguments.module} has no task {arguments.task!r}")
    return task


def _inputs(task: PythonTask, literals: Mapping[str, literals_pb2.Literal], arguments: Arguments) -> dict[str, Any]:
    from flyteform.types import to_python

    index = arguments.index
    inputs = {}
    for one in task.interface.inputs:
        if one.name not in literals:
            if one.required:
                raise _UserCodeError(f"{task.subject} needs the input {one.name!r}, which was not passed to it")
            inputs[one.name] = one.default
            continue
        literal = _resident(literals[one.name])
        if index is not None and one.name not in arguments.bound:
            literal = _item(literal, index, one.name)
        try:
            inputs[one.name] = to_python(literal, one.python_type)
        except FlyteformError as error:
            raise _UserCodeError(f"input {one.name!r} of {task.subject}: {error.message}") from error
    return inputs


def _index() -> int:
    """Return which item of a map task this attempt is for, from the environment that Flyte sets."""
    variable = os.environ.get("BATCH_JOB_ARRAY_INDEX_VAR_NAME", "")
    index = os.environ.get(variable, "")
    if not index.isdecimal():
        raise FlyteformError(f"the attempt of a map task has no index in its environment: {variable}={index!r}")
    return int(index) + int(os.environ.get("BATCH_JOB_ARRAY_INDEX_OFFSET") or 0)


def _item(literal: literals_pb2.Literal, index: int, name: str) -> literals_pb2.Literal:
    items = literal.collection.literals
    if not literal.HasField("collection") or index >= len(items):
        raise FlyteformError(f"the input {name!r} of a map task has no item {index}")
    return _resident(items[index])


def _resident(literal: literals_pb2.Literal) -> literals_pb2.Literal:
    """Return the literal itself where the engine has put it into an object of its own because of its size."""
    from flyteidl.core import literals_pb2

    if literal.HasField("offloaded_metadata"):
        return literals_pb2.Literal.FromString(direct.read(literal.offloaded_metadata.uri))
    return literal


def _report(arguments: Arguments, error: BaseException) -> int:
    """Write the error document, and the traceback to the log."""
    document = _error_document(error)
    print(document.error.message, file=sys.stderr)  # noqa: T201 - for the container's log
    try:
        direct.write(f"{arguments.output_prefix}/error.pb", document.SerializeToString(deterministic=True))
    except FlyteformError as failure:
        print(f"Error: the error cannot be reported: {failure.message}", file=sys.stderr)  # noqa: T201 - as above
        return 1
    return 1 if os.environ.get("FLYTE_FAIL_ON_ERROR", "").lower() in ("1", "true", "yes", "on") else 0


def _error_document(error: BaseException) -> errors_pb2.ErrorDocument:
    from flyteidl.core import errors_pb2, execution_pb2

    cause = _cause(error)
    by_user = isinstance(error, (TaskFailedError, InvalidInputError))
    retryable = cause.retryable if isinstance(cause, FlyteformError) else not by_user
    document = errors_pb2.ErrorDocument()
    document.error.code = "USER" if by_user else "SYSTEM"
    document.error.message = _message(error, cause)
    document.error.kind = (
        errors_pb2.ContainerError.RECOVERABLE if retryable else errors_pb2.ContainerError.NON_RECOVERABLE
    )
    document.error.origin = execution_pb2.ExecutionError.USER if by_user else execution_pb2.ExecutionError.SYSTEM
    document.error.timestamp.GetCurrentTime()
    return document


def _cause(error: BaseException) -> BaseException:
    """Return the exception of the user's own code, if that is what failed."""
    if isinstance(error, TaskFailedError):
        return error.failure
    return error


def _message(error: BaseException, cause: BaseException) -> str:
    """Return what happened in one line, and then where in the user's code."""
    headline = error.message if isinstance(error, FlyteformError) else _summary(error)
    trace = _trace(error, cause)
    data = (f"{headline}\n\n{trace}" if trace else headline).encode(errors="replace")
    if len(data) <= _MESSAGE_BYTES:
        return data.decode()
    half = _MESSAGE_BYTES // 2 - 10
    return data[:half].decode(errors="ignore") + "\n…\n" + data[-half:].decode(errors="ignore")


def _trace(error: BaseException, cause: BaseException) -> str:
    from flyteform.authoring.tracebacks import user_traceback

    if isinstance(error, TaskFailedError):
        return user_traceback(cause)
    if not isinstance(error, FlyteformError):  # our own mistake, so all of it is of interest
        return "".join(traceback.format_exception(error)).rstrip()
    imported = error.__cause__ if isinstance(error, _UserCodeError) else None
    return "" if imported is None or isinstance(imported, FlyteformError) else user_traceback(imported)


def rehearse() -> None:
    """Do what an attempt does, on a task of no importance and without any object: the next one does it sooner.

    In the process from which others are forked, so that the interpreter has adapted to it; in one that waits for its
    attempt, so that the memory that it will write to is its own already.
    """
    from flyteidl.core import literals_pb2

    import flyteform

    name = "flyteform.rehearsal"
    argv = ["--inputs", "file:///i", "--output-prefix", "file:///o", "--module", name, "--task", "collect"]
    try:
        arguments = _parse(argv)
        task = _load(arguments)
        given, outputs = literals_pb2.LiteralMap(), literals_pb2.LiteralMap()
        types = {one.name: one.python_type for one in task.interface.inputs}
        for one, value in {"number": 1, "text": "a", "share": 0.5, "flag": True, "names": ["a"]}.items():
            _fill(given.literals[one], value, types[one])
        literals = literals_pb2.LiteralMap.FromString(given.SerializeToString()).literals
        for one, value in task.run(_inputs(task, literals, arguments)).items():
            _fill(outputs.literals[one], value, task.interface.outputs_by_name[one].python_type)
        outputs.SerializeToString(deterministic=True)
    finally:
        sys.modules.pop(name, None)
        vars(flyteform).pop("rehearsal", None)


def _summary(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    program()
