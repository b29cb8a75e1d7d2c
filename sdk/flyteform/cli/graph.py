"""`flyteform graph`: a declaration, or one of its workflows, as a drawing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flyteform.cli.options import path_argument
from flyteform.cli.wishes import wish_options

if TYPE_CHECKING:
    from flyteform.cli.wishes import Wish


@click.command(short_help="Draw what is declared, or the nodes of a workflow.")
@path_argument
@click.option(
    "--format", "form", type=click.Choice(["dot", "mermaid"]), default="dot", show_default=True, help="How to write it."
)
@click.option("--workflow", "workflow", metavar="NAME", help="Draw the nodes of this workflow.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write to a file.")
@click.option("-p", "--project", envvar="FLYTEFORM_PROJECT", help="Project of what names none.  [default: flytesnacks]")
@click.option("-d", "--domain", envvar="FLYTEFORM_DOMAIN", help="Domain of what names none.  [default: development]")
@wish_options
def graph(
    path: Path,
    *,
    wish: Wish,
    form: str,
    workflow: str | None,
    out: Path | None,
    project: str | None,
    domain: str | None,
) -> None:
    """Draw the declaration in PATH: each resource with arrows to what it needs.

    With --workflow, its nodes with arrows for what flows between them. No platform is asked.
    """
    from flyteform.client.config import DEFAULT_DOMAIN, DEFAULT_PROJECT
    from flyteform.errors import InvalidInputError
    from flyteform.provision import drawing
    from flyteform.provision.desired import Target, declare
    from flyteform.provision.selection import Selection, select

    declared = declare(path, Target(project or DEFAULT_PROJECT, domain or DEFAULT_DOMAIN), wish.variables)
    desired, _ = select(declared, (), Selection(wish.targets, wish.excludes))
    found = drawing.resource_drawing(desired) if workflow is None else drawing.workflow_drawing(desired, workflow)
    text = drawing.dot(found) if form == "dot" else drawing.mermaid(found)
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"cannot write {out}: {error.strerror}", remedy="name another file") from error
