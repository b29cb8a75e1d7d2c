"""Copies inputs in, runs the command, copies outputs out: `python -m flyteform_dataplane.copilot … -- COMMAND`.

In a pod one container downloads before the command's own starts, and another uploads when that has ended. On a machine
without containers the folders that the task names are folders of the attempt's own, and the command and its environment
name those instead. What the command's own program has written into it cannot be changed so.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from flyteidl.core.errors_pb2 import ContainerError, ErrorDocument
from flyteidl.core.execution_pb2 import ExecutionError
from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.core.tasks_pb2 import IOStrategy

from flyteform.errors import FlyteformError, InvalidInputError, UnavailableError
from flyteform_dataplane.copilot import transfer
from flyteform_dataplane.copilot.inputs import download
from flyteform_dataplane.copilot.outputs import error_of, upload
from flyteform_dataplane.copilot.plans import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flyteform_dataplane.copilot.plans import Plan

_SIGNALLED = 128  # what a shell adds to the number of a signal


_PAUSE = 0.2  # seconds between two looks at whether the command has ended


def main(given: Sequence[str]) -> int:
    """Return the exit code of the command, or 1 when copying failed, which is in the error file then."""
    plan = parse(given)
    try:
        return _carry_out(plan)
    except FlyteformError as error:
        return _fail(plan, error)
    except OSError as error:  # a disk that is full, or something of ours in the place of a folder
        place = f" ({error.filename})" if error.filename else ""
        return _fail(plan, UnavailableError(f"copying failed: {error.strerror}{place}"))


def _carry_out(plan: Plan) -> int:
    match plan.part:
        case "all":
            return _run_between(plan)
        case "download":
            with _limited(plan.timeout):
                _copy_in(plan, Path(plan.places[0]))
        case "upload":
            _upload_after(plan)
        case _:
            assert_never(plan.part)
    return 0


def _fail(plan: Plan, error: FlyteformError) -> int:
    print(f"Error: {error.message}", file=sys.stderr)  # noqa: T201 - this is the attempt's log
    with contextlib.suppress(FlyteformError):  # the store is away: what is printed has to do
        _report(plan, error)
    return 1


def _run_between(plan: Plan) -> int:
    here = Path.cwd()
    folders = here / "inputs", here / "outputs"
    for folder in folders:
        folder.mkdir(exist_ok=True)
    _copy_in(plan, folders[0])
    code = _run(plan, folders)
    if code == 0:
        _copy_out(plan, folders[1])
    return code


def _upload_after(plan: Plan) -> None:
    """Copy out what a command in another container has made, if it succeeded."""
    # The first process of a container is not ended by a signal that it does not handle.
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(_SIGNALLED + number))
    try:
        while not (said := _read(plan.exit_code_file)):
            time.sleep(_PAUSE)
        if said == "0":
            with _limited(plan.timeout):
                _copy_out(plan, Path(plan.places[1]))
    finally:
        signal.signal(signal.SIGTERM, before)


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii").strip() if path.exists() else ""


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise `UnavailableError` if the block takes longer; zero is no limit."""

    def late(*_: object) -> None:
        raise UnavailableError(f"copying took longer than {seconds:g} s")

    handler, timer = signal.signal(signal.SIGALRM, late), signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)


def _copy_in(plan: Plan, folder: Path) -> None:
    if plan.config.io_strategy.download_mode != IOStrategy.DO_NOT_DOWNLOAD:
        inputs = LiteralMap.FromString(transfer.read(plan.inputs_uri))
        download(inputs, folder, plan.config.format)


def _copy_out(plan: Plan, folder: Path) -> None:
    said = error_of(folder)
    if said is not None:
        raise InvalidInputError(said.strip() or "the command says that it failed")
    if plan.config.io_strategy.upload_mode != IOStrategy.DO_NOT_UPLOAD:
        outputs = upload(plan.outputs, folder, plan.raw_output_prefix)
        transfer.write(f"{plan.output_prefix}/outputs.pb", outputs.SerializeToString(deterministic=True))


def _run(plan: Plan, folders: tuple[Path, Path]) -> int:
    moved = dict(zip(plan.places, map(str, folders), strict=True))
    command = [relocated(word, moved) for word in plan.command]
    environment = {name: relocated(value, moved) for name, value in os.environ.items()}
    try:
        code = subprocess.run(command, env=environment, check=False).returncode  # noqa: S603 - what was registered
    except OSError as error:
        raise InvalidInputError(
            f"the command {plan.command[0] if plan.command else ''!r} cannot be run: {error.strerror}",
            remedy="on a machine without containers it has to be on the path: --image 'PATTERN=PYTHON' adds a folder",
        ) from error
    return _SIGNALLED - code if code < 0 else code


def relocated(text: str, moved: Mapping[str, str]) -> str:
    """Return the text with each folder that has moved, and what is below it, where it is now."""
    places = "|".join(map(re.escape, sorted(moved, key=len, reverse=True)))
    return re.sub(rf"(?<![\w.\-/])(?:{places})(?![\w.\-])", lambda found: moved[found[0]], text)


def _report(plan: Plan, error: FlyteformError) -> None:
    kind = ContainerError.RECOVERABLE if error.retryable else ContainerError.NON_RECOVERABLE
    origin = ExecutionError.SYSTEM if error.retryable else ExecutionError.USER
    said = error.message if error.remedy is None else f"{error.message} ({error.remedy})"
    written = ContainerError(code=error.code, message=said, kind=kind, origin=origin)
    transfer.write(f"{plan.output_prefix}/error.pb", ErrorDocument(error=written).SerializeToString())


if __name__ == "__main__":
    ended = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # At once: threads of the object store's library may not survive the end of the interpreter.
    os._exit(ended)
