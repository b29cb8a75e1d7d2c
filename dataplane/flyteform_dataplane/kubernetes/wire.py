"""JSON as it goes to an API server and comes from there.

What the fast library does not take (half of a surrogate pair, a number above 64 bits) the slower one reads and writes:
what anybody has put into a label must not keep a watch from going on.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from flyteform.errors import UnavailableError


def encoded(document: object) -> bytes:
    """Return a document as text; TypeError for what JSON does not have."""
    try:
        return orjson.dumps(document)
    except TypeError:
        return json.dumps(document, separators=(",", ":")).encode()


def decoded(text: bytes) -> Any:
    """Return the document that a text is; `UnavailableError` if it is none, as of a proxy that answers by itself."""
    try:
        return orjson.loads(text)
    except ValueError:
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UnavailableError(f"what the Kubernetes API server says is no JSON: {error}") from error
