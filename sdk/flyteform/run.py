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
from typing import TYPE_CHECKING, Any

from flyteform.errors import FlyteformError, InvalidInputError, TaskFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flyteidl.core import errors_pb2, literals_pb2

    from flyteform.authoring.tasks import PythonTask

_IGNORED = ("--raw-output-data-prefix", "--checkpoint-path", "--prev-checkpoint")  # for what later reads raw data
_VALUED = ("--inputs", "--output-prefix", "--bundle", "--bound", "--module", "--task", *_IGNORED)
_NEEDED = ("--inputs", "--output-prefix", "--module", "--task")
_MESSAGE_BYTES = 100_000  # Flyte keeps no more of an error message


@dataclass(frozen=True, slots=True)
class Arguments:
    """What the engine passes: URIs of the inputs, of the directory for the results and of the code, and the task.

    `bound` names the inputs that every item of a map task gets whole.
    """

    inputs: str
    output_prefix: str
    module: str
    task: str
    bundle: str | None = None
    mapped: bool = False
    bound: tuple[str, ...] = ()


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
        outputs = _execute(arguments)
        _put(f"{arguments.output_prefix}/outputs.pb", outputs)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, the engine has to learn of it
        return _report(arguments, error)
    return 0


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
    )


def _execute(arguments: Arguments) -> bytes:
    """Return the bytes of the outputs' literal map."""
    from flyteidl.core import literals_pb2

    if arguments.bundle is not None:
        from flyteform.unpacking import use_bundle

        use_bundle(arguments.bundle, _get)
    elif os.getcwd() not in sys.path:  # noqa: PTH109 - pathlib is slow to load
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as above
    task = _load(arguments)
    literals = literals_pb2.LiteralMap.FromString(_get(arguments.inputs)).literals
    outputs = task.run(_inputs(task, literals, arguments))
    message = literals_pb2.LiteralMap()
    types = task.interface.outputs_by_name
    for name, value in outputs.items():
        _fill(message.literals[name], value, types[name].python_type)
    return message.SerializeToString(deterministic=True)


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

    index = _index() if arguments.mapped else None
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
        return literals_pb2.Literal.FromString(_get(literal.offloaded_metadata.uri))
    return literal


def _report(arguments: Arguments, error: BaseException) -> int:
    """Write the error document, and the traceback to the log."""
    document = _error_document(error)
    print(document.error.message, file=sys.stderr)  # noqa: T201 - for the container's log
    try:
        _put(f"{arguments.output_prefix}/error.pb", document.SerializeToString(deterministic=True))
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


def _summary(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _get(uri: str) -> bytes:
    if uri.startswith("file://"):
        from flyteform.objects.local import read_bytes

        return read_bytes(uri)
    import asyncio

    from flyteform.objects import open_store

    return asyncio.run(open_store(_bucket(uri)).get(uri))


def _put(uri: str, data: bytes) -> None:
    if uri.startswith("file://"):
        from flyteform.objects.local import write_bytes

        write_bytes(uri, data)
        return
    import asyncio

    from flyteform.objects import open_store

    asyncio.run(open_store(_bucket(uri)).put(uri, data))


def _bucket(uri: str) -> str:
    """Return the part of a URI that names the store: scheme and bucket."""
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


if __name__ == "__main__":
    sys.exit(main())
