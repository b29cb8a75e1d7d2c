"""The log in JSON: one object per line, with what a call was as fields."""

from __future__ import annotations

import json
import logging
import sys

import pytest
from grpc import StatusCode

from flyteform_controlplane.logs import JsonFormatter
from flyteform_controlplane.transport.calls import Call, compose
from flyteform_controlplane.transport.interceptors import STANDARD
from flyteform_controlplane.transport.status import CallError

CALL = Call("/p.Service/CreateThing", None, {"x-request-id": "id-1"}, "ipv4:127.0.0.1:1")


async def test_calls_have_fields(caplog: pytest.LogCaptureFixture) -> None:
    """A call's line has its method, code, duration, request id and peer as values, and its text has them too."""

    async def answer(_call: Call) -> None:
        return

    with caplog.at_level(logging.INFO):
        await compose(STANDARD, answer)(CALL)
    line = json.loads(JsonFormatter().format(caplog.records[-1]))
    assert (line["logger"], line["level"]) == ("flyteform.access", "INFO")
    assert (line["method"], line["code"], line["request_id"]) == (CALL.method, StatusCode.OK.name, "id-1")
    assert line["peer"] == CALL.peer
    assert line["ms"] >= 0
    assert "request_id=id-1" in line["message"]


async def test_causes_are_found_by_request_id(caplog: pytest.LogCaptureFixture) -> None:
    """What was not foreseen is logged with its traceback in one line, under the id that the client is told."""

    async def fail(_call: Call) -> None:
        raise KeyError("cause")

    with pytest.raises(CallError, match="id-1"):
        await compose(STANDARD, fail)(CALL)
    [record] = [record for record in caplog.records if record.name == "flyteform.errors"]
    text = JsonFormatter().format(record)
    line = json.loads(text)
    assert "\n" not in text
    assert line["request_id"] == "id-1"
    assert "KeyError: 'cause'" in line["exception"]


@pytest.mark.parametrize("message", ['"quoted"', "line\nbreak", "\x00", "ä", "100 %"])
def test_any_text_is_one_line(message: str) -> None:
    """Whatever a message has in it, it is one line of valid JSON that says the same, with the time in UTC."""
    record = logging.getLogger("x").makeRecord("x", logging.WARNING, __file__, 1, message, (), None)
    text = JsonFormatter().format(record)
    line = json.loads(text)
    assert "\n" not in text
    assert line["message"] == message
    assert line["time"].endswith("+00:00")


def test_values_do_not_hide_what_every_line_has() -> None:
    """A named value cannot take the place of the level, the logger or the message."""
    values = {"level": "fake", "name": object()}
    record = logging.getLogger("x").makeRecord("x", logging.ERROR, __file__, 1, "%(level)s", (values,), sys.exc_info())
    line = json.loads(JsonFormatter().format(record))
    assert (line["level"], line["message"]) == ("ERROR", "fake")
