"""`flyteform state`: look at the record of what is owned, mend it, and bring it elsewhere."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flyteform.cli.asking import ask
from flyteform.cli.options import connection_options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from flyteform.client.config import ConnectionOptions
    from flyteform.provision.model import Address
    from flyteform.provision.state import Record, State
    from flyteform.provision.state_store import DocumentStore

    Action = Callable[..., Any]


@click.group(short_help="Look at the record of what is owned, mend it, bring it elsewhere.")
def state() -> None:
    """Look at the record of what is owned, mend it, and bring it elsewhere.

    WHERE is a declaration, whose state lies beside it (or where FLYTEFORM_STATE says), or the state itself: a file,
    s3://, gs:// or az://BUCKET/NAME.json, or flyteform://PROJECT/DOMAIN/NAME. ADDRESS is KIND:PROJECT/DOMAIN/NAME, as
    `state list` prints it.
    """


def _on_state(function: Action) -> Action:
    """Give an asynchronous command the store that its WHERE names."""

    @wraps(function)
    def run(*args: Any, where: str, connection: ConnectionOptions, **kwargs: Any) -> None:
        async def act() -> None:
            async with opened(where, connection) as store:
                await function(*args, store=store, **kwargs)

        asyncio.run(act())

    return click.argument("where")(connection_options(run))


@asynccontextmanager
async def opened(where: str, connection: ConnectionOptions) -> AsyncIterator[DocumentStore]:
    """Open the state that is meant: a declaration's, and one that the platform keeps, need to know the platform."""
    from flyteform.client.admin import connect
    from flyteform.client.config import resolve
    from flyteform.provision.opening import open_state
    from flyteform.provision.provisioner import store_for

    location, needs_platform = _location(where)
    if location is not None and not needs_platform:
        yield open_state(location)
        return
    async with connect(resolve(connection)) as client:
        yield store_for(location, Path(where), client)


def _location(where: str) -> tuple[str | None, bool]:
    """Return the state that is named, None for that of a declaration, and whether the platform has to be asked."""
    from flyteform.errors import NotFoundError
    from flyteform.provision.opening import is_url, needs_platform

    if is_url(where):
        return where, needs_platform(where)
    path = Path(where)
    if not path.exists():
        raise NotFoundError(f"{where} does not exist", remedy="name a declaration, or a state as a file or URL")
    if path.is_file() and path.suffix != ".py":
        return where, False
    location = os.environ.get("FLYTEFORM_STATE") or None  # as for plan and apply
    return location, location is None or needs_platform(location)


@state.command("list", short_help="List what is owned.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@_on_state
async def list_command(store: DocumentStore, *, as_json: bool) -> None:
    """List the addresses that are owned, each with the version that was applied last."""
    from flyteform.provision.addresses import address_text

    found = await store.load()
    if as_json:
        click.echo(json.dumps({address_text(each): _document(found.records[each]) for each in sorted(found.owned)}))
        return
    for address in sorted(found.owned):
        record = found.records[address]
        notes = [record.version or ("" if record.fields else "not applied")]
        notes += ["active"] if record.active else []
        notes += ["protected"] if record.protect else []
        click.echo("  ".join(part for part in (address_text(address), ", ".join(filter(None, notes))) if part))


@state.command(short_help="Show what was applied to one address.")
@_on_state
@click.argument("address")
async def show(store: DocumentStore, address: str) -> None:
    """Show what was applied last to ADDRESS, and its versions in the applies that the state remembers."""
    from flyteform.errors import NotFoundError
    from flyteform.provision.addresses import address_text, parse_address

    found = await store.load()
    wanted = parse_address(address)
    if wanted not in found.records:
        raise NotFoundError(f"{wanted} is not in the state", remedy="list what is: flyteform state list")
    document = {"address": address_text(wanted), **_document(found.records[wanted]), "history": _history(found, wanted)}
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


@state.command(short_help="List the applies that the state remembers.")
@_on_state
async def history(store: DocumentStore) -> None:
    """List the applies that the state remembers: the serial to which `rollback` goes back, when, by whom."""
    found = await store.load()
    for run in found.runs:
        click.echo(f"{run.serial}  {run.at}  {run.by}  {len(run.before)} changed")


@state.command(short_help="Rename what is owned.")
@_on_state
@click.argument("source")
@click.argument("target")
async def mv(store: DocumentStore, source: str, target: str) -> None:
    """Own as TARGET what is owned as SOURCE; nothing changes on the platform."""
    from flyteform.provision.addresses import parse_address
    from flyteform.provision.state_changes import move

    await move(store, parse_address(source), parse_address(target))
    click.echo(f"{source} is {target} now.")


@state.command(short_help="Own something no longer.")
@_on_state
@click.argument("addresses", metavar="ADDRESS...", nargs=-1, required=True)
async def rm(store: DocumentStore, addresses: tuple[str, ...]) -> None:
    """Forget what is owned: it stays on the platform as it is, and nobody takes it out of use."""
    from flyteform.provision.addresses import parse_address
    from flyteform.provision.state_changes import forget

    await forget(store, [parse_address(each) for each in addresses])
    click.echo(f"Forgotten: {', '.join(addresses)}.")


@state.command(short_help="Print the state as a document.")
@_on_state
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
async def pull(store: DocumentStore, file: Path | None) -> None:
    """Print the state, or write it into FILE, decrypted: for a look, a copy, or `state push` to another place."""
    from flyteform.provision.state_document import dump_state

    text = dump_state(await store.load())
    if file is None:
        click.echo(text, nl=False)
    else:
        _write(file, text)


def _write(file: Path, text: str) -> None:
    from flyteform.errors import InvalidInputError

    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"cannot write {file}: {error.strerror}", remedy="name another file") from error


@state.command(short_help="Replace the state by a document.")
@_on_state
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--force", is_flag=True, help="Also one of another lineage, or with an older serial.")
async def push(store: DocumentStore, file: Path, *, force: bool) -> None:
    """Put the document in FILE (`-` for standard input) in the place of the state.

    Refused if it is of another lineage, or not newer than what is there.
    """
    from flyteform.provision.opening import open_state
    from flyteform.provision.state_changes import push as put
    from flyteform.provision.state_document import load_state

    if str(file) == "-":
        pushed = load_state(sys.stdin.read(), "standard input")
    else:
        pushed = await open_state(file, environ={}).load()
    await put(store, pushed, force=force)
    click.echo(f"{store.location} has {len(pushed.records)} resources.")


@state.command(short_help="Take the lock from whoever holds it.")
@_on_state
@click.option("-y", "--auto-approve", "approved", is_flag=True, help="Do not ask.")
async def unlock(store: DocumentStore, *, approved: bool) -> None:
    """Take the state from an apply that is dead; what it would still write is refused.

    An apply that only pauses ends with an error, and steps of it may be done that the state does not tell of.
    """
    holder = await store.backend.holder()
    if holder is None:
        click.echo(f"Nobody holds {store.location}.")
        return
    click.echo(f"{store.location} is held by {holder}.")
    if not approved:
        ask("Take it?", to="take it", declined="the lock was left alone")
    await store.backend.unlock()
    click.echo("Unlocked.")


@state.command(short_help="Encrypt the state, or change its passphrase.")
@_on_state
@click.option("--new-file", type=click.Path(dir_okay=False, path_type=Path), help="File with the new passphrase.")
@click.option("--remove", is_flag=True, help="Keep it in the open from now on.")
async def passphrase(store: DocumentStore, *, new_file: Path | None, remove: bool) -> None:
    """Write the state again under a new passphrase.

    The present one is that of FLYTEFORM_STATE_PASSPHRASE or FLYTEFORM_STATE_PASSPHRASE_FILE; a state in the open needs
    none. The new one comes from --new-file, from FLYTEFORM_STATE_NEW_PASSPHRASE, or is asked for.
    """
    from flyteform.provision.encryption import Cipher, is_sealed
    from flyteform.provision.state_store import DocumentStore

    text = await store.backend.read()
    present = store if text is not None and is_sealed(text) else DocumentStore(store.backend)
    await present.encrypt(None if remove else Cipher(_new_passphrase(new_file)))
    click.echo(f"{store.location} is {'in the open' if remove else 'encrypted with the new passphrase'} now.")


def _new_passphrase(file: Path | None) -> str:
    from flyteform.errors import InvalidInputError
    from flyteform.provision.encryption import read_passphrase

    if file is not None:
        return read_passphrase(file)
    if given := os.environ.get("FLYTEFORM_STATE_NEW_PASSPHRASE"):
        return given
    if not sys.stdin.isatty():
        raise InvalidInputError(
            "there is no new passphrase", remedy="give --new-file FILE, or set FLYTEFORM_STATE_NEW_PASSPHRASE"
        )
    answer: str = click.prompt("New passphrase", hide_input=True, confirmation_prompt=True)
    return answer


def _document(record: Record) -> dict[str, Any]:
    return {
        "version": record.version,
        "active": record.active,
        "fields": dict(sorted(record.fields.items())),
        "protect": record.protect,
    }


def _history(found: State, address: Address) -> list[dict[str, Any]]:
    """Return the versions that the remembered applies left, each once in a row."""
    entries: list[dict[str, Any]] = []
    for run in found.runs:
        record = found.at(run.serial).get(address)
        version = None if record is None else record.version
        if not entries or entries[-1]["version"] != version:
            entries.append({"serial": run.serial, "at": run.at, "by": run.by, "version": version})
    return entries
