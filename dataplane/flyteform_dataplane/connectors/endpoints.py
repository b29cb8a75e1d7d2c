"""Where connectors are served, as the command line says it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlsplit

from flyteform.errors import InvalidInputError

_EXAMPLES = "Write HOST:PORT, grpcs://HOST:PORT?timeout=30, or snowflake,bigquery=HOST:PORT"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One connector service. All times are in seconds.

    `task_types` are always given to it, also those that it does not list; without any it gets what it lists and
    nobody else runs. A call may take `timeout`, a whole synchronous task `sync_timeout`. A job is asked about at least
    every `poll`. A service that does not answer for `patience` fails the attempt, which counts as the system's fault.
    """

    address: str
    tls: bool = False
    task_types: frozenset[str] = frozenset()
    timeout: float = 10.0
    sync_timeout: float = 600.0
    poll: float = 10.0
    patience: float = 60.0


def parse_endpoint(text: str) -> Endpoint:
    """Read `[TYPE,…=][grpc://|grpcs://]HOST:PORT[?timeout=…&sync-timeout=…&poll=…&patience=…]`.

    Raises `InvalidInputError` if it has another form.
    """
    place, _, query = text.partition("?")
    types, separator, url = place.rpartition("=")
    try:
        parts = urlsplit(url if "://" in url else f"grpc://{url}")
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    named = frozenset(filter(None, (one.strip() for one in types.split(","))))
    wrong = parts.scheme not in ("grpc", "grpcs") or parts.path or parts.username
    if wrong or not parts.hostname or not port or (separator and not named):
        raise InvalidInputError(f"--connector {text!r} is no address of a connector", remedy=_EXAMPLES)
    endpoint = Endpoint(f"{_bracketed(parts.hostname)}:{port}", parts.scheme == "grpcs", named)
    return _with_times(endpoint, text, query)


def _with_times(endpoint: Endpoint, text: str, query: str) -> Endpoint:
    times = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        field = name.replace("-", "_")
        try:
            times[field] = float(value)
        except ValueError:
            times[field] = 0.0
        if field not in ("timeout", "sync_timeout", "poll", "patience") or not 0 < times[field] < float("inf"):
            raise InvalidInputError(
                f"--connector {text!r}: {name}={value} says nothing",
                remedy="timeout, sync-timeout, poll and patience take seconds above 0",
            )
    return replace(endpoint, **times)  # type: ignore[arg-type] # the fields of times are floats


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
