"""States of declarations: who may write one, and which documents may follow each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from flyteform_controlplane.domain.records import Record
from flyteform_controlplane.errors import FailedPreconditionError, InvalidArgumentError, ResourceExhaustedError

# Some tens of thousands of resources.
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
# Documents before the last one, for who has to go back.
KEPT_DOCUMENTS = 10
MIN_TTL, MAX_TTL = timedelta(seconds=1), timedelta(hours=1)
_PLAN_AGAIN = "see what the other apply does, then plan again"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRecord(Record):
    """The newest serial of a state (0: no document yet), and its lock: `token` is empty while nobody holds that."""

    project: str
    domain: str
    name: str
    serial: int = 0
    size: int = 0
    fence: int = 0
    token: str = ""
    holder: str = ""
    acquired_at: datetime | None = None
    expires_at: datetime | None = None

    def is_held(self, at: datetime) -> bool:
        """Say whether somebody's lock has not expired."""
        return bool(self.token) and self.expires_at is not None and self.expires_at > at


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDocumentRecord(Record):
    """One document of a state."""

    project: str
    domain: str
    name: str
    serial: int
    document: bytes


def locked(state: StateRecord, token: str, holder: str, ttl: timedelta, at: datetime) -> StateRecord | None:
    """Return the state with the lock taken, None if somebody else holds it.

    The same token again has the same lock: its first answer may have been lost.
    """
    check_ttl(ttl)
    if state.is_held(at):
        return state if state.token == token else None
    return replace(
        state, fence=state.fence + 1, token=token, holder=holder, acquired_at=at, expires_at=at + ttl, updated_at=at
    )


def renewed(state: StateRecord, fence: int, ttl: timedelta, at: datetime) -> StateRecord:
    """Return the state with the lock lasting longer: also an expired one, as long as nobody has taken it over."""
    check_ttl(ttl)
    check_fence(state, fence)
    return replace(state, expires_at=at + ttl)


def unlocked(state: StateRecord, fence: int, *, force: bool) -> StateRecord:
    """Return the state without the lock; with `force` whoever holds it, else only the holder of this fence."""
    if not force and (not state.token or state.fence != fence):
        return state
    return replace(state, token="", holder="", acquired_at=None, expires_at=None)


def written(state: StateRecord, fence: int, serial: int, document: bytes, at: datetime) -> StateRecord:
    """Return the state with a new document; the caller has checked that it is not the last one again."""
    check_fence(state, fence)
    if len(document) > MAX_DOCUMENT_BYTES:
        raise ResourceExhaustedError(
            f"the state has {len(document)} bytes, more than the {MAX_DOCUMENT_BYTES} that are kept here",
            remedy="split the declaration, or keep its state in a bucket",
        )
    if serial <= state.serial:
        raise FailedPreconditionError(f"serial {serial} does not follow {state.serial}", remedy=_PLAN_AGAIN)
    return replace(state, serial=serial, size=len(document), updated_at=at)


def check_fence(state: StateRecord, fence: int) -> None:
    """Refuse who does not hold the lock any more."""
    if not state.token or state.fence != fence:
        raise FailedPreconditionError("the lock of this state is held no longer", remedy=_PLAN_AGAIN)


def check_ttl(ttl: timedelta) -> None:
    """Refuse a lock that would end at once, or hardly ever."""
    if not MIN_TTL <= ttl <= MAX_TTL:
        raise InvalidArgumentError("invalid value for ttl", remedy="ask for 1 second to 1 hour")
