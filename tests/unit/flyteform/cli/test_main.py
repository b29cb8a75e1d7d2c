"""The root command: lazy, and every error is one message."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import click
import pytest

import flyteform
from flyteform.cli import main as cli
from flyteform.errors import InvalidInputError


def code_of(*argv: str) -> int:
    """Run the command line and return the exit code."""
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def fails_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let a command raise."""

    @click.command()
    def failing() -> None:
        raise error

    monkeypatch.setattr(cli.LazyGroup, "get_command", lambda *_: failing)


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    """One number, wherever it is looked up."""
    assert code_of("--version") == 0
    assert capsys.readouterr().out == f"flyteform {version('flyteform')}\n"
    assert flyteform.__version__ == version("flyteform")


def test_help_lists_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours and those that other packages add."""
    assert code_of("--help") == 0
    out = capsys.readouterr().out
    for name in ("run", "plan", "apply", "destroy", "dev", "demo"):
        assert f"\n  {name} " in out


@pytest.mark.parametrize("name", ["run", "plan", "apply", "destroy"])
def test_every_command_is_where_the_table_says(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The table names modules that exist."""
    assert code_of(name, "--help") == 0
    assert capsys.readouterr().out.startswith(f"Usage: flyteform {name} ")


def test_an_unknown_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    """Usage errors end with 1, as 2 is what a plan with changes ends with."""
    assert code_of("aply") == 1
    assert capsys.readouterr().err == (
        "Error: there is no command 'aply'; did you mean 'apply'?\n  → see flyteform --help\n"
    )


def test_an_unknown_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The remedy names the help that lists the options."""
    assert code_of("run", "--nope") == 1
    assert capsys.readouterr().err.endswith("→ see flyteform run --help\n")


def test_our_errors_are_two_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong, and what to do."""
    fails_with(monkeypatch, InvalidInputError("this is wrong", remedy="do that"))
    assert code_of("any") == 1
    assert capsys.readouterr().err == "Error: this is wrong\n  → do that\n"


def test_a_bug_shows_no_traceback_unless_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """People get one line, and the way to more."""
    fails_with(monkeypatch, ZeroDivisionError("oops"))
    monkeypatch.delenv("FLYTEFORM_DEBUG", raising=False)
    assert code_of("any") == 1
    error = capsys.readouterr().err
    assert error.startswith("Error: this is a bug in flyteform: ZeroDivisionError: oops\n  → set FLYTEFORM_DEBUG=1")
    assert "Traceback" not in error
    monkeypatch.setenv("FLYTEFORM_DEBUG", "1")
    assert code_of("any") == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_no_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends with the code that shells expect, and without a message."""
    fails_with(monkeypatch, KeyboardInterrupt())
    assert code_of("any") == 130
    assert capsys.readouterr().err.strip() == ""


def test_a_reader_that_leaves_is_no_error() -> None:
    """`flyteform --help | true` prints nothing on standard error."""
    command = [sys.executable, "-c", "from flyteform.cli.main import main; main(['--help'])"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        process.wait(timeout=30)


def test_a_command_whose_package_is_missing_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The help still works, and the command names what to install."""
    from importlib.metadata import EntryPoint

    broken = EntryPoint("dev", "no_such_package.cli:dev", "flyteform.commands")
    monkeypatch.setattr(cli.LazyGroup, "_added", staticmethod(lambda: {"dev": broken}))
    assert code_of("--help") == 0
    assert "'no_such_package'" in capsys.readouterr().out.replace("\n", "")
    assert code_of("dev") == 1
    assert "needs the package 'no_such_package', which is not installed" in capsys.readouterr().err
