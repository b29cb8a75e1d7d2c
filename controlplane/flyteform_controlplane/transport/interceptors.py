"""The interceptors of every call: request id, access log, and errors turned into statuses."""

from __future__ import annotations

import logging
import re
import secrets
import string
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from grpc import StatusCode

from flyteform.errors import FlyteformError
from flyteform_controlplane.transport.status import CallError, Status, status_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform_controlplane.transport.calls import Call, Handler, Interceptor

REQUEST_ID = "x-request-id"
ACCESS = logging.getLogger("flyteform.access")
ERRORS = logging.getLogger("flyteform.errors")

# Named values, which a log in JSON has as fields.
_ACCESS_LINE = "method=%(method)s code=%(code)s ms=%(ms).2f request_id=%(request_id)s peer=%(peer)s"
_ERROR_LINE = "method=%(method)s request_id=%(request_id)s"

_ALPHABET = string.ascii_lowercase + string.digits
_GENERATED_LENGTH = 20
# What a client sends goes into logs and headers: nothing that could break a line of either.
_ACCEPTABLE_ID = re.compile(r"[\x21-\x7e]{1,128}").fullmatch
# Clients poll these, and data planes send events by the thousand: only a failure is news.
_QUIET = re.compile(r".*/(Get|List|ReportEvents|Create(Workflow|Node|Task)Event)").match
# Of these, even a miss is no news: a data plane looks up every cached task.
_CACHES = ("/datacatalog.DataCatalog/", "/flyteidl.cacheservice.CacheService/")
_USUAL = frozenset({StatusCode.OK, StatusCode.NOT_FOUND, StatusCode.ALREADY_EXISTS})
_SERVERS_FAULT = frozenset({StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.DATA_LOSS, StatusCode.UNAVAILABLE})


async def request_id(call: Call, proceed: Handler) -> Any:
    """Give the call its id, unless its transport did."""
    return await proceed(call if call.request_id else replace(call, request_id=request_id_of(call.metadata)))


def request_id_of(metadata: Mapping[str, str]) -> str:
    """Return the id that the client sent, or else `a-` and 20 random characters, as FlyteAdmin does."""
    sent = metadata.get(REQUEST_ID, "")
    if _ACCEPTABLE_ID(sent):
        return sent
    return "a-" + "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in secrets.token_bytes(_GENERATED_LENGTH))


async def access_log(call: Call, proceed: Handler) -> Any:
    """Log one line per call; calls that only read and went well are logged at DEBUG."""
    started = time.perf_counter()
    code = StatusCode.CANCELLED
    try:
        response = await proceed(call)
        code = StatusCode.OK
    except CallError as error:
        code = error.status.code
        raise
    finally:
        _log_access(call, code, time.perf_counter() - started)
    return response


def _log_access(call: Call, code: StatusCode, seconds: float) -> None:
    level = logging.INFO
    if code in _SERVERS_FAULT:
        level = logging.WARNING
    elif (code is StatusCode.OK and _QUIET(call.method)) or (code in _USUAL and call.method.startswith(_CACHES)):
        level = logging.DEBUG
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
STANDARD: tuple[Interceptor, ...] = (request_id, access_log, errors)
