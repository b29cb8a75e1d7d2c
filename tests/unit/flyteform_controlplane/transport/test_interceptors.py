"""The chain by itself: order, ids, what is logged, and what texts become."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from flyteform.errors import (
    AlreadyExistsError,
    ConflictError,
    ExecutionFailedError,
    FlyteformError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from flyteform_controlplane.errors import ControlPlaneError
from flyteform_controlplane.transport.calls import Call, Handler, Interceptor, compose
from flyteform_controlplane.transport.interceptors import STANDARD
from flyteform_controlplane.transport.status import CUT, CallError, cut, http_status, status_of


def call(method: str = "/s/CreateTask", **metadata: str) -> Call:
    """Make a call with metadata whose names have dashes for underscores."""
    return Call(method, None, {key.replace("_", "-"): value for key, value in metadata.items()}, "peer")


async def answer(call: Call) -> Any:
    """Answer with the request id."""
    return call.request_id


def raising(error: BaseException) -> Handler:
    """Make an endpoint that fails."""

    async def endpoint(_call: Call) -> Any:
        raise error

    return endpoint


async def test_interceptors_run_in_order() -> None:
    """The first interceptor is the outermost one."""
    seen: list[str] = []

    def marking(name: str) -> Interceptor:
        async def mark(call: Call, proceed: Handler) -> Any:
            seen.append(name)
            return await proceed(call)

        return mark

    await compose([marking("a"), marking("b")], answer)(call())
    assert seen == ["a", "b"]


async def test_request_ids() -> None:
    """A client's id is kept; without one, or with one that could forge a log line, a random one is made."""
    chain = compose(STANDARD, answer)
    assert await chain(call(x_request_id="mine")) == "mine"
    generated = {await chain(call()), await chain(call(x_request_id="a\nb")), await chain(call(x_request_id="x" * 200))}
    assert len(generated) == 3
    assert all(len(identity) == 22 and identity.startswith("a-") for identity in generated)


@pytest.mark.parametrize(
    ("method", "level"),
    [
        ("/flyteidl.service.AdminService/CreateTask", logging.INFO),
        ("/flyteidl.service.AdminService/GetExecution", logging.DEBUG),
        ("/flyteidl.service.AdminService/CreateNodeEvent", logging.DEBUG),
        ("/flyteform.v1.EventService/ReportEvents", logging.DEBUG),
        ("/datacatalog.DataCatalog/CreateArtifact", logging.DEBUG),
    ],
)
async def test_polls_are_quiet(method: str, level: int, caplog: pytest.LogCaptureFixture) -> None:
    """A successful write is logged at INFO, a successful poll at DEBUG."""
    caplog.set_level(logging.DEBUG, "flyteform.access")
    await compose(STANDARD, answer)(call(method, x_request_id="mine"))
    (record,) = caplog.records
    assert record.levelno == level
    assert f"method={method} code=OK" in record.getMessage()
    assert "request_id=mine peer=peer" in record.getMessage()


async def test_a_cache_miss_is_quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A look-up that finds nothing is no news of a cache, and is of everything else."""
    caplog.set_level(logging.INFO, "flyteform.access")
    for method in ("/datacatalog.DataCatalog/GetArtifact", "/flyteidl.service.AdminService/GetTask"):
        with pytest.raises(CallError):
            await compose(STANDARD, raising(NotFoundError("none")))(call(method))
    (record,) = caplog.records
    assert "GetTask code=NOT_FOUND" in record.getMessage()


async def test_failures_are_logged_with_their_code(caplog: pytest.LogCaptureFixture) -> None:
    """A refused poll shows at INFO, a fault of the server at WARNING, a cancelled call as CANCELLED."""
    caplog.set_level(logging.INFO, "flyteform.access")
    for error in (NotFoundError("none"), UnavailableError("down")):
        with pytest.raises(CallError):
            await compose(STANDARD, raising(error))(call("/s/GetTask"))
    with pytest.raises(asyncio.CancelledError):
        await compose(STANDARD, raising(asyncio.CancelledError()))(call("/s/GetTask"))
    found = [(record.levelno, record.getMessage().split()[1]) for record in caplog.records]
    expected = [(logging.INFO, "NOT_FOUND"), (logging.WARNING, "UNAVAILABLE"), (logging.INFO, "CANCELLED")]
    assert found == [(level, f"code={code}") for level, code in expected]


@pytest.mark.parametrize(
    ("error", "code", "http"),
    [
        (InvalidInputError("m"), StatusCode.INVALID_ARGUMENT, 400),
        (NotFoundError("m"), StatusCode.NOT_FOUND, 404),
        (AlreadyExistsError("m"), StatusCode.ALREADY_EXISTS, 409),
        (ConflictError("m"), StatusCode.FAILED_PRECONDITION, 400),
        (ExecutionFailedError("m"), StatusCode.FAILED_PRECONDITION, 400),
        (UnavailableError("m"), StatusCode.UNAVAILABLE, 503),
        (FlyteformError("m"), StatusCode.INTERNAL, 500),
    ],
)
def test_every_error_has_a_status(error: FlyteformError, code: StatusCode, http: int) -> None:
    """Errors of the SDK's tree map to the code and the HTTP status that clients expect."""
    status = status_of(error)
    assert (status.code, status.message, http_status(status.code)) == (code, "m", http)


def test_every_code_has_an_http_status() -> None:
    """No code of gRPC, and none of our errors, is without an HTTP status."""
    assert all(200 <= http_status(code) < 600 for code in StatusCode)
    assert all(http_status(kind.status) >= 400 for kind in ControlPlaneError.__subclasses__())


@given(st.text(), st.integers(min_value=20, max_value=60))
def test_cut_texts_fit(text: str, limit: int) -> None:
    """A cut text fits its limit, starts as the original does and says that it was cut; a short one is untouched."""
    result = cut(text, limit)
    assert len(result.encode()) <= limit
    if len(text.encode("utf-8", "replace")) <= limit:
        assert result == text.encode("utf-8", "replace").decode()
    else:
        assert result.endswith(CUT)
        assert text.encode("utf-8", "replace").decode().startswith(result.removesuffix(CUT))
