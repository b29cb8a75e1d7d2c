"""`flyteform logs`: what the attempts of an execution print, whichever cluster they run in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from flyteform.cli.options import connection_options

if TYPE_CHECKING:
    from flyteidl.core.identifier_pb2 import NodeExecutionIdentifier, WorkflowExecutionIdentifier

    from flyteform.client.config import ConnectionOptions
    from flyteform.client.logs import Attempt, LogClient


@click.command(short_help="Show what the tasks of an execution print.")
@click.argument("execution")
@click.argument("node", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is printed until the attempt has ended.")
@click.option("-n", "--lines", default=0, type=click.IntRange(0), help="The last so many lines only.")
@click.option("--attempt", type=click.IntRange(0), help="Which attempt.  [default: the last one]")
@click.option("--item", type=click.IntRange(0), help="Which item of a map.")
@connection_options
def logs(
    execution: str,
    node: str | None,
    *,
    connection: ConnectionOptions,
    follow: bool,
    lines: int,
    attempt: int | None,
    item: int | None,
) -> None:
    """Show what the tasks of EXECUTION print: those of the node NODE, or of all nodes one after the other.

    EXECUTION is a name in the project and domain, or PROJECT/DOMAIN/NAME.
    """
    asyncio.run(_show(execution, node, connection, _Wish(follow, lines, attempt, item)))


class _Wish:
    """What of an attempt's log is wanted."""

    def __init__(self, follow: bool, lines: int, attempt: int | None, item: int | None) -> None:
        self.follow, self.lines, self.attempt, self.item = follow, lines, attempt, item


async def _show(execution: str, node: str | None, connection: ConnectionOptions, wish: _Wish) -> None:
    from flyteform.client.admin import connect
    from flyteform.client.config import resolve
    from flyteform.client.logs import LogClient

    config = resolve(connection)
    async with connect(config) as client:
        source = LogClient(client.caller)
        name = _identifier(execution, config.project, config.domain)
        attempts = await source.attempts(name, node or "")
        if node is not None:
            await _one(source, name, node, attempts, wish)
            return
        if wish.follow:
            _refuse_many(execution, attempts)
        for attempt in attempts:
            if len(attempts) > 1:
                click.echo(f"==> {attempt.node.node_id} attempt {attempt.number} <==")
            await _print(source, attempt.node, attempt.number, wish)


def _identifier(text: str, project: str, domain: str) -> WorkflowExecutionIdentifier:
    from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

    from flyteform.errors import InvalidInputError

    match text.split("/"):
        case [name]:
            return WorkflowExecutionIdentifier(project=project, domain=domain, name=name)
        case [in_project, in_domain, name]:
            return WorkflowExecutionIdentifier(project=in_project, domain=in_domain, name=name)
        case _:
            raise InvalidInputError(f"{text!r} names no execution", remedy="write NAME or PROJECT/DOMAIN/NAME")


def _refuse_many(execution: str, attempts: list[Attempt]) -> None:
    from flyteform.errors import InvalidInputError

    if len(attempts) > 1:
        nodes = ", ".join(attempt.node.node_id for attempt in attempts)
        raise InvalidInputError(f"only one node can be followed, and {execution} has {nodes}", remedy="name one")


async def _one(
    source: LogClient, execution: WorkflowExecutionIdentifier, node: str, attempts: list[Attempt], wish: _Wish
) -> None:
    from flyteidl.core.identifier_pb2 import NodeExecutionIdentifier

    last = attempts[-1].number if attempts else 0
    await _print(source, NodeExecutionIdentifier(execution_id=execution, node_id=node), last, wish)


async def _print(source: LogClient, node: NodeExecutionIdentifier, last: int, wish: _Wish) -> None:
    number = last if wish.attempt is None else wish.attempt
    async for lines in source.tail(node, number, item=wish.item, lines=wish.lines, follow=wish.follow):
        for line in lines:
            click.echo(line)
