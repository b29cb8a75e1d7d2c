"""`flyteform run` in this process: typed inputs, readable outputs, clear errors."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import pytest

from flyteform.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOURCE = '''
from dataclasses import dataclass
from datetime import datetime, timedelta
import flyteform as fl

@dataclass
class Options:
    rate: float
    layers: list[int]

@fl.task
def hello(name: str, times: int = 1) -> str:
    """Greet somebody."""
    print("greeting")
    return " ".join(["hello", name] * times)

@fl.task
def fail(x: int) -> int:
    return helper(x)

def helper(x):
    raise ValueError("out of luck")

@fl.task
def fit(options: Options, big_data: list, at: datetime, within: timedelta, quick: bool = False) -> dict:
    return {"sum": sum(options.layers) * options.rate, "n": len(big_data), "at": at.isoformat(), "quick": quick}

@fl.task
def nothing() -> None: ...

@fl.task
def two(x: int) -> tuple[int, str]:
    return x, "é"

@fl.task
def helpful(help: str = "me") -> str:
    return help

@fl.workflow
def wf(first_name: str, times: int = 2) -> str:
    """Greet by workflow."""
    return hello(name=first_name, times=times)

@fl.workflow
def failing(x: int = 1) -> int:
    return fail(x=x)

@fl.workflow
def wrong(x: int = 1) -> int:
    return fail(y=x)

plan = fl.LaunchPlan.get_or_create(wf, name="plan", default_inputs={"first_name": "plan"})
'''


class Result(NamedTuple):
    """What a run of the command gave."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Return a function that runs `flyteform run` in a directory with the file `pipeline_cli.py`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "pipeline_cli.py").write_text(SOURCE)

    def call(*argv: str) -> Result:
        with pytest.raises(SystemExit) as caught:
            main(["run", *argv])
        assert isinstance(caught.value.code, int)
        return Result(caught.value.code, *capsys.readouterr())

    yield call
    for name in ("pipeline_cli", "broken_cli"):
        sys.modules.pop(name, None)


def test_a_workflow_runs_with_its_inputs(run: Run) -> None:
    """Dashes and underscores are the same, defaults apply, outputs are printed by name."""
    for option in ("--first_name", "--first-name"):
        assert run("pipeline_cli.py", "wf", option, "Ann") == (0, "greeting\no0: hello Ann hello Ann\n", "")
    assert run("pipeline_cli.py", "wf", "--first-name=Ann", "--times", "1").out.endswith("o0: hello Ann\n")


def test_values_may_begin_with_a_dash(run: Run) -> None:
    """A negative number, and any text, may follow its option with a space or with an equals sign."""
    for words in (("--x", "-5"), ("--x=-5",)):
        assert run("pipeline_cli.py", "two", *words).out == "o0: -5\no1: é\n"
    assert run("pipeline_cli.py", "helpful", "--help", "--me").out == "o0: --me\n"


def test_tasks_and_launch_plans_run_too(run: Run) -> None:
    """Whatever is registered under a name can be run by its name in the file."""
    assert run("pipeline_cli.py", "hello", "--name", "task").out.endswith("o0: hello task\n")
    assert run("pipeline_cli.py", "plan").out.endswith("o0: hello plan hello plan\n")


def test_structured_inputs_are_json(run: Run) -> None:
    """Dataclasses, lists, times and flags, as a person would type them."""
    inputs = ["--options", '{"rate": 0.5, "layers": [2, 4]}', "--big-data", '[1, null, {"a": []}]']
    times = ["--at", "2030-01-31T06:00:00Z", "--within", "1h30m", "--quick"]
    result = run("--json", "pipeline_cli.py", "fit", *inputs, *times)
    assert result.err == ""
    expected = {"sum": 3.0, "n": 3, "at": "2030-01-31T06:00:00+00:00", "quick": True}
    assert json.loads(result.out) == {"o0": expected}
    assert not json.loads(run("--json", "pipeline_cli.py", "fit", *inputs, *times, "false").out)["o0"]["quick"]


def test_json_is_all_that_is_on_standard_output(run: Run) -> None:
    """What tasks print goes to standard error, so that a program can read the outputs."""
    result = run("--json", "pipeline_cli.py", "wf", "--first-name", "Ann")
    assert json.loads(result.out) == {"o0": "hello Ann hello Ann"}
    assert result.err == "greeting\n"


def test_several_outputs_and_none(run: Run) -> None:
    """One line for each output, in Unicode."""
    assert run("pipeline_cli.py", "two", "--x", "3").out == "o0: 3\no1: é\n"
    assert run("pipeline_cli.py", "nothing") == (0, "", "")


def test_help_after_the_name_shows_the_inputs(run: Run) -> None:
    """Names, types and defaults come from the annotations, the text from the docstring."""
    out = run("pipeline_cli.py", "wf", "--help").out
    assert out.startswith("Usage: flyteform run pipeline_cli.py wf [INPUTS]")
    assert "Greet by workflow." in out
    assert re.search(r"--first-name, --first_name str +\[required\]", out)
    assert re.search(r"--times int +\[default: 2\]", out)
    assert run("pipeline_cli.py", "helpful", "--help", "you").out == "o0: you\n"


def test_help_before_the_name_shows_the_command(run: Run) -> None:
    """The options of the command itself."""
    out = run("--help").out
    assert "--remote" in out
    assert "--no-wait" in out


@pytest.mark.parametrize(
    ("argv", "message", "remedy"),
    [
        (("pipeline_cli.py", "wff"), "has no workflow or task 'wff'; did you mean 'wf'?", "it has: hello, fail, fit"),
        (("pipeline_cli.py",), "which one of pipeline_cli.py?", "it has: hello, fail, fit"),
        (("none.py", "wf"), "there is no file none.py", "check the path"),
        ((), "Missing argument 'FILE'", "see flyteform run --help"),
        (("pipeline_cli.py", "wf"), "needs the input 'first_name' of type str", "add --first-name VALUE"),
        (("pipeline_cli.py", "wf", "--first-nam", "a"), "No such option '--first-nam'", "wf --help"),
        (
            ("pipeline_cli.py", "wf", "--first-name", "a", "--times", "many"),
            "Invalid value for '--times': expected int, got 'many'",
            "see flyteform run pipeline_cli.py wf --help",
        ),
        (("pipeline_cli.py", "wf", "Ann"), "Got unexpected extra argument (Ann)", "wf --help"),
        (
            ("pipeline_cli.py", "fit", "--options", '{"rate": 1, "layer": []}'),
            "Invalid value for '--options': Options has no field 'layer'; did you mean 'layers'?",
            "fit --help",
        ),
        (("pipeline_cli.py", "fit", "--big-data", "[1"), "expected list as JSON, got '[1'", ""),
        (("--project", "p", "pipeline_cli.py", "wf"), "--project has a meaning only with --remote", "run --help"),
        (("pipeline_cli.py", "wrong"), "pipeline_cli.py:50: task pipeline_cli.fail has no input 'y'; it has x", ""),
    ],
)
def test_a_mistake_is_one_message(run: Run, argv: tuple[str, ...], message: str, remedy: str) -> None:
    """Never a traceback; the exit code is 1."""
    result = run(*argv)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("Error: ")
    assert message in result.err
    assert remedy in result.err
    assert "Traceback" not in result.err


def test_a_file_that_cannot_be_loaded_is_one_message(run: Run, tmp_path: Path) -> None:
    """Mistakes in the user's file name its line."""
    (tmp_path / "broken_cli.py").write_text(textwrap.dedent("x = 1\ny = (\n"))
    result = run("broken_cli.py", "wf")
    assert result.code == 1
    assert result.err.startswith("Error: broken_cli.py:2: ")


def test_a_failing_task_shows_the_users_own_traceback(run: Run) -> None:
    """The frames are the user's, and the last line names the task."""
    result = run("pipeline_cli.py", "failing")
    assert result.code == 1
    assert result.out == ""
    lines = result.err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert [line.rpartition(" ")[2] for line in lines if line.startswith('  File "')] == ["fail", "helper"]
    assert lines[-1] == "Error: task pipeline_cli.fail failed: ValueError: out of luck"
