"""A small server that speaks Google Cloud Storage's XML API, as far as our client uses it: not Google's, but our own.

No server that can be had as a package takes the uploads of our client: it writes with `PUT /BUCKET/OBJECT` of the XML
API, which fake-gcs-server (1.56) answers with 400, and Google's own testbench is in no registry. This one is written
from Google's documentation: objects with generations, the precondition `x-goog-if-generation-match` (0: not there),
ETags, ranges, lists (version 2), the documented error codes, and the limit of about one write a second to an object,
beyond which Google answers 429. It knows one bearer token, and no accounts, no signatures, no versioning and no
resumable uploads; where the documentation is silent it shows nothing about Google's servers.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from urllib.parse import SplitResult

LOOPBACK = "127.0.0.1"
BUCKET = "tests"
TOKEN = "not-a-secret-of-anybody"  # noqa: S105 - the server's own, on loopback, for as long as a test
_MATCH = "x-goog-if-generation-match"
_RANGE = re.compile(r"bytes=(\d+)-(\d*)").fullmatch
_XML = "<?xml version='1.0' encoding='UTF-8'?>"
_PAGE = 1000
_STOP_SECONDS = 60.0
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Stored:
    """One generation of an object."""

    data: bytes
    generation: int
    updated: datetime

    @property
    def e_tag(self) -> str:
        """The digest of its bytes, in quotes."""
        return f'"{hashlib.md5(self.data, usedforsecurity=False).hexdigest()}"'

    @property
    def headers(self) -> dict[str, str]:
        """What every answer about it says."""
        return {
            "ETag": self.e_tag,
            "Last-Modified": format_datetime(self.updated, usegmt=True),
            "x-goog-generation": str(self.generation),
            "x-goog-metageneration": "1",
            "x-goog-stored-content-length": str(len(self.data)),
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered."""

    status: HTTPStatus
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class GcsServer:
    """Buckets in memory; `seconds_between_writes` to one object is 0 for no limit, 1 for Google's."""

    def __init__(self) -> None:
        self.buckets: dict[str, dict[str, Stored]] = {BUCKET: {}}
        self.seconds_between_writes = 0.0
        self.refused = 0
        self._written: dict[tuple[str, str], float] = {}
        self._generations = count(1_700_000_000_000_000)
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer((LOOPBACK, 0), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, name="gcs", daemon=True)

    @property
    def environment(self) -> dict[str, str]:
        """What a client has to have in its environment."""
        return {"GOOGLE_BASE_URL": f"http://{LOOPBACK}:{self._http.server_port}", "GOOGLE_BEARER_TOKEN": TOKEN}

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(timeout=_STOP_SECONDS)

    def new_prefix(self) -> str:
        """Return a prefix that nothing is below yet."""
        return f"gs://{BUCKET}/{next(_numbers)}"

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Do what one request asks, alone."""
        parts = urlsplit(target)
        bucket, _, name = unquote(parts.path).removeprefix("/").partition("/")
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return _error(HTTPStatus.UNAUTHORIZED, "AuthenticationRequired", "Authentication required.")
        with self._lock:
            if bucket not in self.buckets:
                return _error(HTTPStatus.NOT_FOUND, "NoSuchBucket", "The specified bucket does not exist.")
            return self._answered(method, bucket, name, headers, body) if name else self._list(method, bucket, parts)

    def _list(self, method: str, bucket: str, parts: SplitResult) -> Answer:
        if method != "GET":
            return _UNKNOWN
        return _listed(bucket, self.buckets[bucket], {key: values[0] for key, values in parse_qs(parts.query).items()})

    def _answered(self, method: str, bucket: str, name: str, headers: Mapping[str, str], body: bytes) -> Answer:
        match method:
            case "GET" | "HEAD":
                return _read(self.buckets[bucket].get(name), headers)
            case "PUT":
                return self._put(bucket, name, headers, body)
            case "DELETE":
                return _deleted(self.buckets[bucket], name)
        return _UNKNOWN

    def _put(self, bucket: str, name: str, headers: Mapping[str, str], body: bytes) -> Answer:
        objects, now = self.buckets[bucket], time.monotonic()
        before = objects.get(name)
        wanted = headers.get(_MATCH)
        if wanted is not None and int(wanted) != (0 if before is None else before.generation):
            text = "At least one of the pre-conditions you specified did not hold."
            return _error(HTTPStatus.PRECONDITION_FAILED, "PreconditionFailed", text)
        if now < self._written.get((bucket, name), 0.0) + self.seconds_between_writes:
            self.refused += 1
            text = f"The object {bucket}/{name} exceeded the rate limit for object mutation operations."
            return _error(HTTPStatus.TOO_MANY_REQUESTS, "SlowDown", text)
        self._written[bucket, name] = now
        objects[name] = Stored(body, next(self._generations), datetime.now(UTC))
        return Answer(HTTPStatus.OK, objects[name].headers)


@contextmanager
def running_gcs() -> Iterator[GcsServer]:
    """Run a server with one bucket for the length of the block."""
    server = GcsServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _read(found: Stored | None, headers: Mapping[str, str]) -> Answer:
    if found is None:
        return _error(HTTPStatus.NOT_FOUND, "NoSuchKey", "The specified key does not exist.")
    asked = _RANGE(headers.get("range", ""))
    if asked is None:
        return Answer(HTTPStatus.OK, found.headers, found.data)
    first, last = int(asked[1]), min(int(asked[2] or len(found.data)), len(found.data) - 1)
    if first > last:
        return _error(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "InvalidRange", "The range cannot be satisfied.")
    where = {"Content-Range": f"bytes {first}-{last}/{len(found.data)}"}
    return Answer(HTTPStatus.PARTIAL_CONTENT, found.headers | where, found.data[first : last + 1])


def _deleted(objects: dict[str, Stored], name: str) -> Answer:
    if objects.pop(name, None) is None:
        return _error(HTTPStatus.NOT_FOUND, "NoSuchKey", "The specified key does not exist.")
    return Answer(HTTPStatus.NO_CONTENT)


def _listed(bucket: str, objects: Mapping[str, Stored], query: Mapping[str, str]) -> Answer:
    """List by name: whole names, and what is before the delimiter of the others, a page at a time."""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    start, after = query.get("continuation-token", ""), query.get("start-after", "")
    found: dict[str, Stored | None] = {}
    for name in sorted(objects):
        if name.startswith(prefix) and name >= start and name > after:
            rest = name.removeprefix(prefix)
            head, separator, _ = rest.partition(delimiter) if delimiter else (rest, "", "")
            found[f"{prefix}{head}{separator}"] = None if separator else objects[name]
    page = list(found.items())[:_PAGE]
    following = list(found)[_PAGE : _PAGE + 1]
    contents = [_entry(name, stored) for name, stored in page]
    token = f"<NextContinuationToken>{escape(following[0])}</NextContinuationToken>" if following else ""
    text = (
        f"{_XML}<ListBucketResult xmlns='http://doc.s3.amazonaws.com/2006-03-01'>"
        f"<Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount>"
        f"<IsTruncated>{str(bool(following)).lower()}</IsTruncated>{token}{''.join(contents)}</ListBucketResult>"
    )
    return Answer(HTTPStatus.OK, {"Content-Type": "application/xml"}, text.encode())


def _entry(name: str, stored: Stored | None) -> str:
    if stored is None:
        return f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
    return (
        f"<Contents><Key>{escape(name)}</Key><Generation>{stored.generation}</Generation>"
        f"<MetaGeneration>1</MetaGeneration><LastModified>{stored.updated.isoformat().replace('+00:00', 'Z')}"
        f"</LastModified><ETag>{escape(stored.e_tag)}</ETag><Size>{len(stored.data)}</Size></Contents>"
    )


def _error(status: HTTPStatus, code: str, message: str) -> Answer:
    text = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return Answer(status, {"Content-Type": "application/xml"}, f"{_XML}{text}".encode())


_UNKNOWN = _error(HTTPStatus.METHOD_NOT_ALLOWED, "MethodNotAllowed", "Not of this small server.")


def _handler(server: GcsServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one answer, one packet

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = server.answer(self.command, self.path, headers, body)
            self.send_response(answer.status)
            for name, value in (*answer.headers.items(), ("Content-Length", str(len(answer.body)))):
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_GET = do_HEAD = do_PUT = do_DELETE = _do  # noqa: N815 - the names that http.server asks for

        def log_message(self, *_: object) -> None:
            """Keep quiet: tests fail by what clients see."""

    return Handler
