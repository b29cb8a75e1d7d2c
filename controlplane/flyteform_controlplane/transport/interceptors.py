"""The interceptors of every call: access log, and errors turned into statuses."""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from grpc import StatusCode

from flyteform.errors import FlyteformError
from flyteform_controlplane.transport.status import CallError, Status, observed, status_of

if TYPE_CHECKING:
    from flyteform_controlplane.transport.calls import Call, Handler, Interceptor

ACCESS = logging.getLogger("flyteform.access")
ERRORS = logging.getLogger("flyteform.errors")

# Named values, which a log in JSON has as fields.
_ACCESS_LINE = "method=%(method)s code=%(code)s ms=%(ms).2f request_id=%(request_id)s peer=%(peer)s"
_ERROR_LINE = "method=%(method)s request_id=%(request_id)s"

# Clients poll these, and data planes send events by the thousand: only a failure is news.
_QUIET = re.compile(r".*/(Get|List|ReportEvents|Create(Workflow|Node|Task)Event)").match
# Of these, even a miss is no news: a data plane looks up every cached task.
_CACHES = ("/datacatalog.DataCatalog/", "/flyteidl.cacheservice.CacheService/")
_USUAL = frozenset({StatusCode.OK, StatusCode.NOT_FOUND, StatusCode.ALREADY_EXISTS})
_SERVERS_FAULT = frozenset({StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.DATA_LOSS, StatusCode.UNAVAILABLE})


async def access_log(call: Call, proceed: Handler) -> Any:
    """Log one line per call; calls that only read and went well are logged at DEBUG."""
    return await observed(call, proceed, _log_access)


@lru_cache(maxsize=1024)
def _level(method: str, code: StatusCode) -> int:
    if code in _SERVERS_FAULT:
        return logging.WARNING
    if (code is StatusCode.OK and _QUIET(method)) or (code in _USUAL and method.startswith(_CACHES)):
        return logging.DEBUG
    return logging.INFO


def _log_access(call: Call, code: StatusCode, seconds: float) -> None:
    level = _level(call.method, code)
    if ACCESS.isEnabledFor(level):
        values = {"code": code.name, "ms": round(seconds * 1000, 2), "peer": call.peer, **_of(call)}
        ACCESS.log(level, _ACCESS_LINE, values)


def _of(call: Call) -> dict[str, str]:
    return {"method": call.method, "request_id": call.request_id}


async def errors(call: Call, proceed: Handler) -> Any:
    """Turn whatever a service raises into a `CallError`; what was not raised on purpose is INTERNAL and logged.

    Never UNKNOWN: stock clients take that for a question of login (contract 4).
    """
    try:
        return await proceed(call)
    except CallError:
        raise
    except FlyteformError as error:
        status = status_of(error)
        if status.code is StatusCode.INTERNAL:
            ERRORS.exception(_ERROR_LINE, _of(call))
        raise CallError(status) from error
    except Exception as error:
        ERRORS.exception(_ERROR_LINE, _of(call))
        message = f"internal error; the server's log has its cause under request id {call.request_id}"
        raise CallError(Status(StatusCode.INTERNAL, message)) from error


# Authentication and authorization go after the last one: their refusals are mapped and logged like all others.
STANDARD: tuple[Interceptor, ...] = (access_log, errors)
