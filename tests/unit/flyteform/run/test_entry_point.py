"""The entry point in a task's container: objects in, objects out, by Flyte's rules."""

from __future__ import annotations

import importlib
import io
import os
import subprocess
import sys
import tarfile
import threading
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flyteidl.core import errors_pb2, execution_pb2, literals_pb2

from flyteform import run
from flyteform.types import guess_python, to_literal

if TYPE_CHECKING:
    from collections.abc import Iterator

USER, SYSTEM = execution_pb2.ExecutionError.USER, execution_pb2.ExecutionError.SYSTEM
FINAL, AGAIN = errors_pb2.ContainerError.NON_RECOVERABLE, errors_pb2.ContainerError.RECOVERABLE

ROOT = Path(__file__).parents[4]

MODULE = """
import sys
from helpers import helper
import flyteform as fl

@fl.task
def inc(x: int, by: int = 1) -> int:
    print("to the log")
    return x + by

@fl.task
def fail(x: int) -> int:
    return helper(x)

@fl.task(retries=3)
def busy(x: int) -> int:
    raise fl.RecoverableError("the mirror is busy")

@fl.task
def leave(x: int) -> int:
    sys.exit(7)

@fl.task
def liar(x: int) -> int:
    return str(x)

@fl.task
def nothing(x: int) -> None: ...

@fl.task
async def later(x: int) -> int:
    return x * 2

@fl.task(retries=3)
def resumed(steps: int) -> str:
    context = fl.current_context()
    done = int(context.checkpoint.read() or b"0") + 1
    if context.attempt != 1:  # the second attempt dies before it writes anything of its own
        context.checkpoint.write(str(done).encode())
    if done < steps:
        raise fl.RecoverableError(f"step {done}")
    return f"{context.execution} {context.attempt} {context.raw_output_prefix}"

@fl.task
async def awaited(x: int) -> int:
    fl.current_context().checkpoint.write(b"kept")
    return x

@fl.task
def join(rows: list[int], word: str) -> str:
    return word * len(rows)
"""
HELPERS = """
def helper(x):
    raise ValueError(f"cannot use {x}")
"""


@dataclass
class Attempt:
    """One attempt's directory, from which the entry point's arguments come."""

    root: Path

    @property
    def base(self) -> str:
        """The URI below which its objects are."""
        return f"file://{self.root}"

    def put(self, name: str, data: bytes) -> str:
        """Store an object and return its URI."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return f"{self.base}/{name}"

    def inputs(self, **values: tuple[Any, Any]) -> str:
        """Store inputs, each a value and its type."""
        literals = {name: to_literal(value, python_type) for name, (value, python_type) in values.items()}
        return self.put("data/inputs.pb", literals_pb2.LiteralMap(literals=literals).SerializeToString())

    def arguments(self, task: str, *more: str) -> list[str]:
        """Return what the engine would pass, templates filled in."""
        return [
            *("--inputs", f"{self.base}/data/inputs.pb"),
            *("--output-prefix", f"{self.base}/data/0"),
            *("--raw-output-data-prefix", f"{self.base}/raw"),
            *("--checkpoint-path", f"{self.base}/raw/_flytecheckpoints"),
            *("--prev-checkpoint", '""'),
            *("--bundle", f"{self.base}/code.tar.gz"),
            *more,
            *("--module", "entry_tasks", "--task", task),
        ]

    def outputs(self) -> dict[str, Any]:
        """Return what was written."""
        data = (self.root / "data/0/outputs.pb").read_bytes()
        assert not (self.root / "data/0/error.pb").exists()
        return {name: guess_python(one) for name, one in literals_pb2.LiteralMap.FromString(data).literals.items()}

    def error(self) -> errors_pb2.ContainerError:
        """Return the error that was written."""
        data = (self.root / "data/0/error.pb").read_bytes()
        assert not (self.root / "data/0/outputs.pb").exists()
        return errors_pb2.ErrorDocument.FromString(data).error


def archive(files: dict[str, str]) -> bytes:
    """Return a code bundle."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as bundle:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            bundle.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


@pytest.fixture
def attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Attempt]:
    """Return an attempt whose bundle has two modules; its imports do not outlive the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("FLYTEFORM_BUNDLE_DIR", str(tmp_path / "bundles"))
    for name in ("BATCH_JOB_ARRAY_INDEX_VAR_NAME", "BATCH_JOB_ARRAY_INDEX_OFFSET", "FLYTE_FAIL_ON_ERROR"):
        monkeypatch.delenv(name, raising=False)
    one = Attempt(tmp_path)
    one.put("code.tar.gz", archive({"entry_tasks.py": MODULE, "helpers.py": HELPERS}))
    yield one
    for name in ("entry_tasks", "helpers"):
        sys.modules.pop(name, None)


def test_inputs_become_outputs(attempt: Attempt, capsys: pytest.CaptureFixture[str]) -> None:
    """The plain case: inputs are read, the task runs, outputs are written, its prints are in the log."""
    attempt.inputs(x=(4, int))
    assert run.main(attempt.arguments("inc")) == 0
    assert attempt.outputs() == {"o0": 5}
    assert capsys.readouterr().out == "to the log\n"


@pytest.mark.parametrize(("task", "expected"), [("nothing", {}), ("later", {"o0": 8})])
def test_other_kinds_of_functions(attempt: Attempt, task: str, expected: dict[str, Any]) -> None:
    """A task without outputs writes an empty map, a coroutine is run to its end."""
    attempt.inputs(x=(4, int))
    assert run.main(attempt.arguments(task)) == 0
    assert attempt.outputs() == expected


def test_it_runs_as_a_program_of_its_own(attempt: Attempt) -> None:
    """The console script's function reads the command line, in a directory where the bundle is unpacked."""
    attempt.inputs(x=(4, int))
    environment = {name: value for name, value in os.environ.items() if name != "FLYTEFORM_BUNDLE_DIR"}
    command = [sys.executable, "-m", "flyteform.run", *attempt.arguments("inc")]
    done = subprocess.run(command, cwd=attempt.root, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "to the log\n", "")
    assert attempt.outputs() == {"o0": 5}


DYING = """
import atexit, logging, logging.handlers, os, signal, sys, threading, time
import flyteform as fl

class Runtime:
    def __del__(self):  # as a native library's threads, when the interpreter takes itself apart beside them
        os.kill(os.getpid(), signal.SIGSEGV)

runtime = Runtime()
buffered = logging.handlers.MemoryHandler(100, target=logging.StreamHandler(sys.stdout))
logging.getLogger("user").addHandler(buffered)
atexit.register(print, "exit function")

def work():
    time.sleep(0.05)
    print("thread")

@fl.task
def inc(x: int, by: int = 1) -> int:
    logging.getLogger("user").warning("logged")
    threading.Thread(target=work).start()
    sys.stdout.write("task\\n")
    return x + by
"""


@pytest.mark.parametrize(("given", "code"), [(4, 0), ("no number", 1)])
def test_the_program_ends_well_whatever_native_code_does_at_the_end(attempt: Attempt, given: object, code: int) -> None:
    """Threads, exit functions, logging and buffers get their due, and the exit code is the attempt's."""
    attempt.put("code.tar.gz", archive({"entry_tasks.py": DYING}))
    attempt.inputs(x=(given, type(given)))
    environment = {name: value for name, value in os.environ.items() if name != "FLYTEFORM_BUNDLE_DIR"}
    environment["FLYTE_FAIL_ON_ERROR"] = "true"
    command = [sys.executable, "-m", "flyteform.run", *attempt.arguments("inc")]
    done = subprocess.run(command, cwd=attempt.root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code
    ran = ["task", "thread"] if code == 0 else []
    assert [line for line in done.stdout.splitlines() if line != "logged"] == [*ran, "exit function"]
    assert ("logged" in done.stdout) is (code == 0)


def test_the_console_script_is_the_program() -> None:
    """What a container's command is, in an image that was built from this project."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts["flyteform-execute"].partition(":")
    assert getattr(importlib.import_module(module), function) is run.program


def test_a_users_exception_is_final(attempt: Attempt, capsys: pytest.CaptureFixture[str]) -> None:
    """As in Flyte: exit code 0, an error document with the user's own frames, and the same in the log."""
    attempt.inputs(x=(4, int))
    assert run.main(attempt.arguments("fail")) == 0
    error = attempt.error()
    assert (error.code, error.kind, error.origin) == ("USER", FINAL, USER)
    assert error.message.startswith("task entry_tasks.fail failed: ValueError: cannot use 4\n\nTraceback")
    assert "helpers.py" in error.message
    assert "flyteform/" not in error.message
    assert error.timestamp.seconds > 0
    assert "ValueError: cannot use 4" in capsys.readouterr().err


def test_a_recoverable_error_may_be_tried_again(attempt: Attempt) -> None:
    """It is what `retries` of a task are for."""
    attempt.inputs(x=(4, int))
    assert run.main(attempt.arguments("busy")) == 0
    error = attempt.error()
    assert (error.code, error.kind, error.origin) == ("USER", AGAIN, USER)
    assert "the mirror is busy" in error.message


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("leave", "task entry_tasks.leave failed: SystemExit: 7"),
        ("liar", "output 'o0' of task entry_tasks.liar: expected int, got str '4'"),
        ("unknown", "the module entry_tasks has no task 'unknown'"),
        ("helper", "the module entry_tasks has no task 'helper'"),
        ("join", "task entry_tasks.join needs the input 'rows', which was not passed to it"),
    ],
)
def test_other_mistakes_of_the_user_are_final_too(attempt: Attempt, task: str, message: str) -> None:
    """A second attempt would end the same way."""
    attempt.inputs(x=(4, int))
    assert run.main(attempt.arguments(task)) == 0
    error = attempt.error()
    assert (error.code, error.kind, error.origin) == ("USER", FINAL, USER)
    assert error.message.startswith(message)


def test_a_wrong_input_is_named(attempt: Attempt) -> None:
    """Another version of the code may have written it."""
    attempt.inputs(x=("four", str))
    run.main(attempt.arguments("inc"))
    assert attempt.error().message.startswith("input 'x' of task entry_tasks.inc: expected int, got a literal of kind")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import nowhere_at_all\n", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("def f(:\n", "SyntaxError"),
        ("raise SystemExit(2)\n", "SystemExit: 2"),
    ],
)
def test_a_module_that_cannot_be_imported_is_the_users(attempt: Attempt, source: str, message: str) -> None:
    """The traceback shows where, without frames of the import system."""
    attempt.put("code.tar.gz", archive({"entry_tasks.py": source}))
    attempt.inputs(x=(4, int))
    assert run.main(attempt.arguments("inc")) == 0
    error = attempt.error()
    assert (error.code, error.kind) == ("USER", FINAL)
    assert error.message.startswith("the module entry_tasks cannot be imported: ")
    assert message in error.message
    assert "frozen" not in error.message


def test_missing_inputs_are_no_fault_of_the_user(attempt: Attempt) -> None:
    """What goes wrong around the code is a system error."""
    assert run.main(attempt.arguments("inc")) == 0
    error = attempt.error()
    assert (error.code, error.origin) == ("SYSTEM", SYSTEM)
    assert "there is no object" in error.message


def test_our_own_mistakes_are_reported_and_may_be_tried_again(attempt: Attempt) -> None:
    """Broken bytes raise what nobody expects: the engine learns of it all the same."""
    attempt.put("data/inputs.pb", b"\xff\xff")
    assert run.main(attempt.arguments("inc")) == 0
    error = attempt.error()
    assert (error.code, error.kind, error.origin) == ("SYSTEM", AGAIN, SYSTEM)
    assert "DecodeError" in error.message


def test_the_exit_code_can_tell(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plug-ins that look at exit codes ask for it by Flyte's environment variable."""
    monkeypatch.setenv("FLYTE_FAIL_ON_ERROR", "true")
    attempt.inputs(x=(4, int))
    assert run.main(attempt.arguments("fail")) == 1


def test_a_long_message_is_cut(attempt: Attempt) -> None:
    """Flyte keeps 100 kB; the beginning and the end say most."""
    attempt.put(
        "code.tar.gz", archive({"entry_tasks.py": MODULE, "helpers.py": HELPERS.replace("{x}", "{'é' * 200000}")})
    )
    attempt.inputs(x=(4, int))
    run.main(attempt.arguments("fail"))
    message = attempt.error().message
    assert len(message.encode()) <= 100_000
    assert message.startswith("task entry_tasks.fail failed")


def test_an_item_of_a_map_task(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index picks from the lists; bound inputs are whole, lists among them."""
    attempt.inputs(rows=([1, 2, 3], list[int]), word=(["a", "b", "c"], list[str]))
    monkeypatch.setenv("BATCH_JOB_ARRAY_INDEX_VAR_NAME", "FLYTE_K8S_ARRAY_INDEX")
    monkeypatch.setenv("FLYTE_K8S_ARRAY_INDEX", "1")
    assert run.main(attempt.arguments("join", "--map", "--bound", "rows")) == 0
    assert attempt.outputs() == {"o0": "bbb"}
    monkeypatch.setenv("BATCH_JOB_ARRAY_INDEX_OFFSET", "1")
    assert run.main(attempt.arguments("join", "--map", "--bound", "rows")) == 0
    assert attempt.outputs() == {"o0": "ccc"}


def test_an_item_that_is_not_there(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index out of range, or none at all, is the engine's mistake and not the user's."""
    attempt.inputs(x=([1], list[int]))
    assert run.main(attempt.arguments("inc", "--map")) == 0
    assert "has no index in its environment" in attempt.error().message
    monkeypatch.setenv("BATCH_JOB_ARRAY_INDEX_VAR_NAME", "INDEX")
    monkeypatch.setenv("INDEX", "1")
    assert run.main(attempt.arguments("inc", "--map")) == 0
    assert "the input 'x' of a map task has no item 1" in attempt.error().message


def test_an_offloaded_input_is_fetched(attempt: Attempt) -> None:
    """Flyte's engine puts large literals into objects of their own."""
    uri = attempt.put("large.pb", to_literal(4, int).SerializeToString())
    reference = literals_pb2.Literal(offloaded_metadata=literals_pb2.LiteralOffloadedMetadata(uri=uri))
    attempt.put("data/inputs.pb", literals_pb2.LiteralMap(literals={"x": reference}).SerializeToString())
    assert run.main(attempt.arguments("inc")) == 0
    assert attempt.outputs() == {"o0": 5}


def test_a_bundle_is_unpacked_once(attempt: Attempt) -> None:
    """Attempts on one machine share it, and the object is not needed again."""
    attempt.inputs(x=(4, int))
    assert run.main(attempt.arguments("inc")) == 0
    (attempt.root / "code.tar.gz").unlink()
    assert run.main(attempt.arguments("inc")) == 0
    (directory,) = (attempt.root / "bundles").iterdir()
    assert {path.name for path in directory.iterdir()} == {"entry_tasks.py", "helpers.py"}


def test_many_attempts_may_unpack_at_once(attempt: Attempt) -> None:
    """Whoever is first, all find the whole bundle, and nothing is left over."""
    from flyteform.unpacking import use_bundle

    uri = f"{attempt.base}/code.tar.gz"
    data = (attempt.root / "code.tar.gz").read_bytes()
    together = threading.Barrier(8)
    found = []

    def fetch(_: str) -> bytes:
        together.wait(timeout=30)
        return data

    threads = [threading.Thread(target=lambda: found.append(use_bundle(uri, fetch))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(set(found)) == 1
    assert len(found) == 8
    assert [path.name for path in (attempt.root / "bundles").iterdir()] == [found[0].name]


@pytest.mark.parametrize(
    "bundle",
    [b"no archive", archive({"../outside.py": "x = 1"}), archive({"cut.py": ""})[:40]],
    ids=["no archive", "leads out", "half an archive"],
)
def test_a_bundle_that_is_none_is_refused(attempt: Attempt, bundle: bytes) -> None:
    """Nothing is written outside of the bundle's directory, and nothing is left of it."""
    attempt.put("code.tar.gz", bundle)
    attempt.inputs(x=(4, int))
    assert run.main(attempt.arguments("inc")) == 0
    assert "is no code bundle" in attempt.error().message
    assert not (attempt.root / "outside.py").exists()
    assert list((attempt.root / "bundles").iterdir()) == []


def test_wrong_arguments_are_explained(attempt: Attempt, capsys: pytest.CaptureFixture[str]) -> None:
    """There is nowhere to write an error to, so the exit code tells."""
    assert run.main(["--inputs", "x"]) == 1
    assert run.main([*attempt.arguments("inc"), "--more"]) == 1
    errors = capsys.readouterr().err
    assert "--output-prefix is missing" in errors
    assert "unknown argument '--more'" in errors


def test_an_error_that_cannot_be_written_is_an_exit_code(attempt: Attempt, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a result the engine looks at the process."""
    attempt.inputs(x=(4, int))
    attempt.put("data/0", b"a file where the directory should be")
    assert run.main(attempt.arguments("inc")) == 1
    assert "the error cannot be reported" in capsys.readouterr().err


def test_a_rehearsal_leaves_nothing() -> None:
    """It works, starts no thread, and what it has run is not there for whoever comes after it."""
    program = (
        "import sys, threading, flyteform\nfrom flyteform import run\n"
        "from flyteform.authoring.context import current_context\n"
        "run.preload()\nbefore = set(sys.modules), set(vars(flyteform)), current_context()\n"
        "run.rehearse()\nrun.rehearse()\n"
        "print((set(sys.modules), set(vars(flyteform)), current_context()) == before, threading.active_count())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "1"]


def test_preloading_starts_no_thread() -> None:
    """A process that forks attempts has to have one thread only."""
    program = "from flyteform import run; import threading; run.preload(); print(threading.active_count())"
    command = [sys.executable, "-c", program + "; import sys; print('grpc' in sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False"]


def test_a_checkpoint_reaches_the_attempts_after_it(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next attempt goes on from it; one that read it and wrote none hands it on."""
    attempt.inputs(steps=(2, int))
    monkeypatch.setenv("FLYTE_INTERNAL_EXECUTION_ID", "wine")
    previous = '""'
    for number in range(3):
        place = f"{attempt.base}/raw/{number}/_flytecheckpoints"
        more = (
            "--checkpoint-path",
            place,
            "--prev-checkpoint",
            previous,
            "--output-prefix",
            f"{attempt.base}/{number}",
        )
        monkeypatch.setenv("FLYTE_ATTEMPT_NUMBER", str(number))
        if number == 1:
            attempt.inputs(steps=(5, int))
        elif number == 2:
            attempt.inputs(steps=(2, int))
        assert run.main(attempt.arguments("resumed", *more)) == 0
        previous = place
    assert (attempt.root / "raw/1/_flytecheckpoints/_dst_cp").read_bytes() == b"1"
    data = (attempt.root / "2/outputs.pb").read_bytes()
    (output,) = literals_pb2.LiteralMap.FromString(data).literals.values()
    assert guess_python(output) == f"wine 2 {attempt.base}/raw"


def test_a_checkpoint_is_written_from_asynchronous_tasks(attempt: Attempt) -> None:
    """The loop of the task is no obstacle."""
    attempt.inputs(x=(4, int))
    assert run.main(attempt.arguments("awaited")) == 0
    assert attempt.outputs() == {"o0": 4}
    assert (attempt.root / "raw/_flytecheckpoints/_dst_cp").read_bytes() == b"kept"
