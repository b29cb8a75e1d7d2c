"""Plan and apply as a library: what the commands, other programs and tests call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform.errors import ConflictError
from flyteform.provision.apply import ApplyResult, Conduct, execute
from flyteform.provision.desired import DEFAULT_IMAGE, Target, declare
from flyteform.provision.errors import DeclarationError, StalePlanError
from flyteform.provision.ignoring import keep_ignored
from flyteform.provision.judge import judge
from flyteform.provision.model import REGISTRATIONS, Desired, Plan
from flyteform.provision.observe import observe
from flyteform.provision.opening import open_state
from flyteform.provision.plan import check_idle, check_owners, check_protected, plan_changes, removals
from flyteform.provision.redaction import redact_change
from flyteform.provision.refresh import refresh_changes, refreshed
from flyteform.provision.selection import EVERYTHING, Selection, select
from flyteform.provision.state_file import FileStateStore, default_state_path

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from flyteform.client.admin import AdminClient
    from flyteform.client.config import ClientConfig
    from flyteform.provision.model import Address, Change
    from flyteform.provision.ports import Holder, StateStore
    from flyteform.provision.state import State
    from flyteform.provision.state_store import DocumentStore


def default_store(path: Path, config: ClientConfig) -> FileStateStore:
    """Return the state file that belongs to a declaration on one platform, project and domain."""
    return FileStateStore(default_state_path(path, config.endpoint, config.project, config.domain))


def store_for(location: str | Path | None, path: Path, client: AdminClient) -> DocumentStore:
    """Open the state at a path or URL, by default the file that belongs to the declaration at `path`."""
    config = client.config
    return open_state(
        location or default_state_path(path, config.endpoint, config.project, config.domain), client.caller
    )


async def make_plan(
    path: Path,
    client: AdminClient,
    store: StateStore | None = None,
    *,
    image: str | None = None,
    destroy: bool = False,
    selection: Selection = EVERYTHING,
    refresh_only: bool = False,
    variables: Mapping[str, str] | None = None,
) -> Plan:
    """Load the declaration at `path` (module or directory), read the platform, and say what an apply would do.

    Nothing is written. With `destroy` the plan takes out of use what is declared and what is owned; with `refresh_only`
    an apply makes the state say what the platform has. `variables` are what the declaration asks for per environment.
    """
    config = client.config
    desired = declare(path, Target(config.project, config.domain, image or DEFAULT_IMAGE), variables)
    state = await (store or default_store(path, config)).load()
    desired, untouched = select(desired, state.owned, selection)
    if refresh_only:
        return await plan_refresh(client, state, untouched=untouched)
    plan = await compare(desired, client, state, destroy=destroy, untouched=untouched)
    _check_references(plan)
    return plan


def _check_references(plan: Plan) -> None:
    """Refuse what is declared by the version of something that is not registered: there is nothing to register."""
    known = {entity.address for entity in plan.desired.entities if entity.spec}
    lost = next((step for step in plan.steps if step.action in REGISTRATIONS and _is_reference(step, known)), None)
    if lost is not None:
        raise DeclarationError(
            f"version {lost.version} of {lost.address} is not registered",
            remedy="name a version that is, or declare it with its source",
        )


def _is_reference(step: Change, known: Collection[Address]) -> bool:
    return step.version is not None and step.address not in known


async def compare(
    desired: Desired,
    client: AdminClient,
    state: State,
    *,
    destroy: bool = False,
    untouched: Collection[Address] = frozenset(),
) -> Plan:
    """Plan from a desired state that is at hand, leaving alone what is owned and `untouched`."""
    before = client.caller.sent.total()
    records = {address: record for address, record in state.records.items() if address not in untouched}
    observed = await observe(client, desired, records)
    if destroy:
        changes = tuple(removals(desired.addresses | frozenset(records), observed, reason="destroyed"))
        check_protected(changes, desired.options, records)
        check_idle(changes, observed)
    else:
        kept = keep_ignored(desired, observed)
        if kept != desired:
            desired, observed = kept, await observe(client, kept, records)
        check_owners(desired, observed)
        changes = plan_changes(desired, observed, records)
    changes = await judge(client, desired, observed, changes)
    requests = client.caller.sent.total() - before
    return Plan(
        client.config.endpoint,
        desired,
        changes,
        destroy,
        state.serial,
        untouched=frozenset(untouched),
        requests=requests,
    )


async def plan_refresh(client: AdminClient, state: State, *, untouched: Collection[Address] = frozenset()) -> Plan:
    """Plan to take over into the state what the platform has of what is owned."""
    before = client.caller.sent.total()
    records = {address: record for address, record in state.records.items() if address not in untouched}
    versions = [(address, record.version) for address, record in records.items() if record.version is not None]
    found = refreshed(records, await observe(client, Desired(), records, versions))
    return Plan(
        client.config.endpoint,
        Desired(),
        tuple(refresh_changes(records, found)),
        serial=state.serial,
        refresh_only=True,
        untouched=frozenset(untouched),
        refreshed=found,
        requests=client.caller.sent.total() - before,
    )


async def apply_plan(
    plan: Plan,
    client: AdminClient,
    store: StateStore,
    conduct: Conduct | None = None,
    *,
    wait: float = 0.0,
    on_wait: Callable[[Holder], None] | None = None,
) -> ApplyResult:
    """Apply a plan while holding the state's lock.

    If another apply holds it, `on_wait` is told and it is waited for `wait` seconds; then `StateLockedError`.
    `StalePlanError` if the state has changed since the plan was made.
    """
    async with store.lock(wait, on_wait):
        return await execute(plan, client, store, conduct)


async def check_fresh(plan: Plan, client: AdminClient, store: StateStore) -> None:
    """Raise `StalePlanError` unless the same declaration would be planned the same way now.

    A plan is saved without the values of secrets in its changes, so these are not looked at.
    """
    if plan.endpoint != client.config.endpoint:
        raise ConflictError(
            f"this plan was made for {plan.endpoint}, not for {client.config.endpoint}",
            remedy=f"apply it with --endpoint {plan.endpoint}",
        )
    now = await compare(plan.desired, client, await store.load(), destroy=plan.destroy, untouched=plan.untouched)
    if tuple(map(redact_change, now.changes)) != tuple(map(redact_change, plan.changes)):
        raise StalePlanError(
            "the platform or the state has changed since this plan was saved", remedy="make a new plan and look at it"
        )
