"""What the database's own errors mean to a caller."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from flyteform_controlplane.errors import (
    ControlPlaneError,
    InvalidArgumentError,
    TransactionConflictError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

# What the driver raises when a message comes that it does not expect: the news that the server ends the connection,
# while nothing was asked. The end itself may still be on its way, so that the connection counts as open.
_OUT_OF_STEP: Final = "InternalClientError"
# Classes of SQLSTATE (PostgreSQL's appendix A): connection, transaction rollback, resources, operator intervention.
_PASSING: Final = ("08", "53", "57", "58")
_CONFLICT: Final = "40"
_BAD_VALUE: Final = "22"
_LOCK_TIMEOUT: Final = "55P03"
_SQLITE_PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    }
)


@contextmanager
def translated() -> Iterator[None]:
    """Raise what passes by itself (a lost connection, a full disk, a deadlock) as `UnavailableError`.

    A value that the database cannot keep becomes `InvalidArgumentError`; everything else stays as it is.
    """
    try:
        yield
    except (PoolTimeoutError, DBAPIError) as error:
        raise_translated(error)
        raise


def raise_translated(error: BaseException) -> None:
    """Raise what `translated` would raise for the error; return if that stays as it is."""
    if isinstance(error, PoolTimeoutError):
        raise UnavailableError("all connections to the database are in use", remedy="try again") from error
    if isinstance(error, DBAPIError) and not isinstance(error, IntegrityError):
        known = _meaning(error)
        if known is not None:
            raise known from error


def is_lost(error: BaseException | None) -> bool:
    """Whether the connection that raised it is of no use any more, although it may count as open."""
    if not isinstance(error, DBAPIError):
        return False
    return error.connection_invalidated or "is closed" in str(error.orig) or type(error.orig).__name__ == _OUT_OF_STEP


@contextmanager
def connecting() -> Iterator[None]:
    """Do the same while there is no connection yet: then whatever PostgreSQL refuses is `UnavailableError`."""
    with translated():
        try:
            yield
        except OSError as error:
            raise _unreachable(errno.errorcode.get(error.errno or 0, type(error).__name__)) from error
        except DBAPIError as error:
            if error.orig is None or isinstance(error.orig, sqlite3.Error):
                raise
            raise _unreachable(_first_line(error.orig)) from error


def _unreachable(reason: str) -> UnavailableError:
    return UnavailableError(
        f"the database cannot be reached ({reason})", remedy="start it, or check the database's URL, then try again"
    )


def _meaning(error: DBAPIError) -> ControlPlaneError | None:
    original = error.orig
    if is_lost(error):
        return UnavailableError("the connection to the database is lost", remedy="try again")
    if isinstance(original, sqlite3.Error):
        return _of_sqlite(original)
    return None if original is None else _of_postgresql(original)


def _of_postgresql(original: BaseException) -> ControlPlaneError | None:
    state = str(getattr(original, "sqlstate", None) or "")
    if state.startswith(_CONFLICT):
        return TransactionConflictError(
            f"the database is busy with the same ({_first_line(original)})", remedy="try again"
        )
    if state.startswith(_PASSING) or state == _LOCK_TIMEOUT:
        return UnavailableError(f"the database cannot do this now ({_first_line(original)})", remedy="try again")
    # Without a state: the driver itself found that the value does not fit.
    if state.startswith(_BAD_VALUE) or "DataError" in type(original.__cause__).__name__:
        return InvalidArgumentError("a value in the request is too large, or has a character that cannot be stored")
    return None


def _of_sqlite(original: sqlite3.Error) -> ControlPlaneError | None:
    # The low byte is the kind, the rest says which of its cases.
    if original.sqlite_errorcode & 0xFF in _SQLITE_PASSING:
        return UnavailableError(f"the database cannot do this now ({original})", remedy="try again")
    return None


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0].rpartition(">: ")[2]
