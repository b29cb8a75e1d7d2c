"""The root command, and what becomes of errors: one message, one remedy, exit code 1, never a traceback."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

import click

import flyteform
from flyteform.errors import FlyteformError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.metadata import EntryPoint

# Where a command is, and its line in the help: neither needs the command's module to be imported.
_COMMANDS = {
    "run": ("flyteform.cli.run:run", "Run a workflow or a task here, or on a platform with --remote."),
    "plan": ("flyteform.cli.plan:plan", "Show what an apply would change."),
    "apply": ("flyteform.cli.apply:apply", "Bring the platform to what is declared."),
    "destroy": ("flyteform.cli.destroy:destroy", "Take what is declared out of use."),
    "import": ("flyteform.cli.importing:import_command", "Write the declaration of what a project has."),
    "drift": ("flyteform.cli.drift:drift", "Show what somebody else has changed since the last apply."),
    "rollback": ("flyteform.cli.rollback:rollback", "Bring back what an earlier apply left."),
    "graph": ("flyteform.cli.graph:graph", "Draw what is declared, or the nodes of a workflow."),
    "logs": ("flyteform.cli.logs:logs", "Show what the tasks of an execution print."),
    "get": ("flyteform.cli.get:get", "Look at the clusters of a platform."),
    "cluster": ("flyteform.cli.cluster:cluster", "Drain, cordon and onboard clusters."),
    "state": ("flyteform.cli.state:state", "Look at the record of what is owned, mend it, bring it elsewhere."),
}
_ENTRY_POINTS = "flyteform.commands"
_INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called; packages add commands through entry points."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click passes it
        """Return our commands in the order of use, then the added ones by name."""
        return [*_COMMANDS, *sorted(self._added())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Import a command."""
        if cmd_name in _COMMANDS:
            module, _, attribute = _COMMANDS[cmd_name][0].partition(":")
            command: click.Command = getattr(importlib.import_module(module), attribute)
            return command
        added = self._added().get(cmd_name)
        return _loaded(added) if added is not None else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that was named; an unknown name gets the nearest one suggested."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None:
            near = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
            ctx.fail(f"there is no command {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        return name, command, args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """Write the commands, each with its line."""
        rows = [(name, text) for name, (_, text) in _COMMANDS.items()]
        for name, entry_point in sorted(self._added().items()):
            rows.append((name, _line_of(entry_point)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    @staticmethod
    def _added() -> Mapping[str, EntryPoint]:
        from importlib.metadata import entry_points

        return {one.name: one for one in entry_points(group=_ENTRY_POINTS)}


def _loaded(entry_point: EntryPoint) -> click.Command:
    try:
        command: click.Command = entry_point.load()
    except ModuleNotFoundError as error:
        raise NotFoundError(
            f"the command {entry_point.name!r} needs the package {error.name!r}, which is not installed",
            remedy="install flyteform with its extras: pip install 'flyteform[platform]'",
        ) from error
    return command


def _line_of(entry_point: EntryPoint) -> str:
    """Return an added command's line; the help must not fail because a package of theirs is not installed."""
    try:
        return _loaded(entry_point).get_short_help_str(limit=80)
    except NotFoundError as error:
        return f"({error.message})"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(flyteform.__version__, message="%(prog)s %(version)s")
def root() -> None:
    """Write workflows in Python; run them here; provision them, and the platform that runs them."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 when all is well, 1 after an error, 2 for a plan with changes."""
    sys.exit(_code(argv))


def _code(argv: Sequence[str] | None) -> int:
    try:
        result: Any = root.main(args=argv, prog_name="flyteform", standalone_mode=False)
    except FlyteformError as error:
        show_error(error.message, error.remedy)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx is not None else "flyteform"
        show_error(error.format_message(), f"see {path} --help")
    except click.ClickException as error:
        show_error(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last place that can make one message of it
        _show_bug(error)
    else:
        return result if isinstance(result, int) else 0
    return 1


def show_error(message: str, remedy: str | None = None) -> None:
    """Print an error and what to do about it, in the form that all commands have."""
    click.echo(f"{click.style('Error', fg='red', bold=True)}: {message}", err=True)
    if remedy:
        click.echo(f"  → {remedy}", err=True)


def _show_bug(error: Exception) -> None:
    if os.environ.get("FLYTEFORM_DEBUG"):
        traceback.print_exception(error)
    show_error(
        f"this is a bug in flyteform: {type(error).__name__}: {error}",
        "set FLYTEFORM_DEBUG=1 for the traceback, and report it",
    )


if __name__ == "__main__":
    main()
