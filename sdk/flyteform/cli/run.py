"""`flyteform run`: one workflow or task, with its inputs as options."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flyteform.authoring.loading import load_module
from flyteform.cli.inputs import parse_inputs, written
from flyteform.errors import InvalidInputError, TaskFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform.authoring.entity import Entity

_POSITIONAL = 2  # FILE and NAME; the words after them are the workflow's inputs
_INPUT_WORDS = "flyteform.inputs"


class RunCommand(click.Command):
    """A command whose own options end with NAME; what follows belongs to the workflow."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the workflow's words aside and parse the rest."""
        end = self._end_of_own(args)
        ctx.meta[_INPUT_WORDS] = args[end:]
        return super().parse_args(ctx, args[:end])

    def _end_of_own(self, args: list[str]) -> int:
        valued = {name for one in self.params if isinstance(one, click.Option) and not one.is_flag for name in one.opts}
        found = index = 0
        while index < len(args) and found < _POSITIONAL:
            if args[index] in valued:
                index += 1  # the next word is its value
            elif not args[index].startswith("-"):
                found += 1
            index += 1
        return min(index, len(args))


@click.command(cls=RunCommand, options_metavar="[OPTIONS]")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.argument("name", metavar="NAME [INPUTS]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the outputs as JSON.")
@click.option("--remote", is_flag=True, help="Register it on a platform and execute it there.")
@click.option("--endpoint", metavar="HOST:PORT", help="gRPC address of the platform, with --remote.")
@click.option("--insecure/--secure", default=None, help="Plain text or TLS, with --remote.")
@click.option("-p", "--project", help="Project to register in, with --remote.")
@click.option("-d", "--domain", help="Domain to register in, with --remote.")
@click.option("--name", "execution_name", help="Name of the execution, with --remote.  [default: a random one]")
@click.option("--wait/--no-wait", default=None, help="Follow the execution to its end, with --remote.  [default: wait]")
@click.option("--image", envvar="FLYTEFORM_IMAGE", help="Container image of tasks that name none, with --remote.")
@click.pass_context
def run(
    context: click.Context, /, path: Path, name: str | None, *, as_json: bool, remote: bool, **options: Any
) -> None:
    """Run the workflow, task or launch plan NAME of the Python FILE.

    Its inputs are options after NAME: `flyteform run pipeline.py train --rate 0.1 --layers '[64, 32]'`.
    `flyteform run FILE NAME --help` lists them. Lists, dicts, dataclasses and models are written as JSON.
    """
    if not remote:
        _refuse_remote_options(context, options)
    loaded = load_module(path)
    if name is None:
        known = ", ".join(loaded.entities())
        raise InvalidInputError(
            f"which one of {path}?", remedy=f"it has: {known}" if known else "decorate a function with @workflow"
        )
    entity = loaded.find(name)
    inputs = parse_inputs(entity, context.meta[_INPUT_WORDS], f"{context.command_path} {path} {name}")
    if remote:
        _run_remote(entity, inputs, options, as_json=as_json)
    else:
        _run_here(entity, inputs, as_json=as_json)


def _refuse_remote_options(context: click.Context, options: Mapping[str, Any]) -> None:
    on_line = click.core.ParameterSource.COMMANDLINE
    for name in options:
        if context.get_parameter_source(name) is on_line:
            option = next(one for one in context.command.params if one.name == name)
            raise click.UsageError(f"{option.opts[-1]} has a meaning only with --remote", context)


def _run_here(entity: Entity, inputs: Mapping[str, Any], *, as_json: bool) -> None:
    from flyteform.authoring import local
    from flyteform.authoring.tracebacks import user_traceback

    # What tasks print must not get between the outputs and the program that reads them.
    aside = contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()
    try:
        with aside:
            outputs = local.run(entity, inputs)
    except TaskFailedError as error:
        if isinstance(error.failure, BrokenPipeError):  # who read our output has left; that is no failure of the task
            raise error.failure from None
        click.echo(user_traceback(error.failure), err=True)
        raise
    _show(entity, outputs, as_json=as_json)


def _run_remote(entity: Entity, inputs: Mapping[str, Any], options: Mapping[str, Any], *, as_json: bool) -> None:
    from flyteform.cli.remote_run import run_remote
    from flyteform.client.config import ConnectionOptions

    connection = ConnectionOptions(*(options[name] for name in ("endpoint", "insecure", "project", "domain")))
    wait = options["wait"] is not False
    image, name = options["image"], options["execution_name"]
    outputs = run_remote(entity, inputs, connection, image=image, name=name, wait=wait)
    if wait:
        _show(entity, outputs, as_json=as_json)


def _show(entity: Entity, outputs: Mapping[str, Any], *, as_json: bool) -> None:
    declared = entity.interface.outputs_by_name
    if as_json:
        from flyteform.types import to_plain

        document = {name: to_plain(value, declared[name].python_type) for name, value in outputs.items()}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    for name, value in outputs.items():
        click.echo(f"{name}: {written(value, declared[name])}")
