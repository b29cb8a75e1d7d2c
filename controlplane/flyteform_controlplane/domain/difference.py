"""The text that shows where two registrations of one version differ (contract 1.3)."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING

from google.protobuf.json_format import MessageToDict

if TYPE_CHECKING:
    from google.protobuf.message import Message

_MAX_CHARACTERS = 64 * 1024


def difference(old: Message, new: Message) -> str:
    """Return the lines that differ between the JSON forms of two messages."""
    lines = difflib.unified_diff(_lines(old), _lines(new), "registered", "requested", n=2, lineterm="")
    return "\n".join(lines)[:_MAX_CHARACTERS]


def _lines(message: Message) -> list[str]:
    as_json = MessageToDict(message, preserving_proto_field_name=True)
    return json.dumps(as_json, indent=1, sort_keys=True).splitlines()
