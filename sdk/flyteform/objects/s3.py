"""Objects in S3, or in what speaks like it: told where and as whom by the usual AWS_* environment variables."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

import obstore
from obstore import exceptions
from obstore.store import S3Store as Bucket

from flyteform.errors import AlreadyExistsError, FlyteformError, InvalidInputError, NotFoundError, UnavailableError
from flyteform.objects.files import md5_of
from flyteform.objects.ports import ObjectInfo, SignedUrl
from flyteform.objects.sigv4 import Credentials, Signer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

    from obstore.store import RetryConfig, S3Config

    from flyteform.objects.ports import Method

SCHEME = "s3://"
DEFAULT_REGION = "us-east-1"
MAX_KEY_BYTES = 1024
# Flyte's name for it: an ETag is no MD5 where the bucket encrypts or the upload had parts.
MD5_METADATA = "flytecontentmd5"
# A store that is gone is told within seconds; a large object may take its time.
CONNECT_TIMEOUT = timedelta(seconds=5)
TIMEOUT = timedelta(minutes=10)
RETRIES = 2
RETRY_TIMEOUT = timedelta(seconds=10)
_PLAIN_ETAG = re.compile(r'"?([0-9a-f]{32})"?').fullmatch
_CODE = re.compile(r"<Code>(\w+)</Code>").search


class S3Store:
    """The object store below `s3://bucket/prefix`; keys are taken literally, nothing in them is decoded.

    `environment` has AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION and AWS_ENDPOINT_URL;
    without keys in it the machine's own identity reads and writes. FLYTEFORM_STORE_PATIENCE is for how many seconds a
    store that does not answer is asked again; whoever has worked for hours has more of it than a server has.
    """

    def __init__(self, prefix: str, environment: Mapping[str, str] = os.environ) -> None:
        path = prefix.removeprefix(SCHEME).rstrip("/")
        self._prefix = SCHEME + path
        self._bucket_name, _, self._below = path.partition("/")
        if not prefix.startswith(SCHEME) or not self._bucket_name:
            raise InvalidInputError(f"{prefix!r} is not a prefix of the form s3://bucket/prefix")
        if self._below:
            _refuse_unsafe(prefix, self._below)
        region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
        endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or ""
        self._endpoint = endpoint.rstrip("/") or f"https://s3.{region}.amazonaws.com"
        credentials = _credentials(environment)
        self._signer = Signer(credentials, region) if credentials else None
        patience = environment.get("FLYTEFORM_STORE_PATIENCE", "")
        self._bucket = _open(self._bucket_name, self._endpoint, region, credentials, _retries(patience))

    @property
    def prefix(self) -> str:
        """The URI that all objects of this store start with; no slash at its end."""
        return self._prefix

    async def get(self, uri: str, *, limit: int | None = None) -> bytes:
        """Return the content; `NotFoundError` if there is none, `InvalidInputError` if it is over `limit` bytes."""
        with self._errors(uri):
            found = await obstore.get_async(self._bucket, self._key(uri))
            size = found.meta["size"]
            if limit is not None and size > limit:
                raise InvalidInputError(f"{uri} has {size} bytes, more than the {limit} that are allowed here")
            return bytes(await found.bytes_async())

    async def put(self, uri: str, data: bytes, *, if_absent: bool = False, durable: bool = True) -> None:  # noqa: ARG002 - whatever S3 has taken is durable
        """Store the content; with `if_absent` raise `AlreadyExistsError` rather than replace an object."""
        with self._errors(uri):
            await obstore.put_async(
                self._bucket,
                self._key(uri),
                data,
                attributes={MD5_METADATA: _base64(_md5(data))},
                mode="create" if if_absent else "overwrite",
                use_multipart=False,
            )

    async def fetch(self, uri: str, target: Path) -> None:
        """Write the content to a file, in pieces; `NotFoundError` if there is none."""
        with self._errors(uri):
            found = await obstore.get_async(self._bucket, self._key(uri))
            with target.open("wb") as file:
                async for piece in found.stream():
                    file.write(piece)

    async def store(self, source: Path, uri: str) -> None:
        """Store a file's content, in pieces."""
        attributes = {MD5_METADATA: _base64(md5_of(source))}
        with self._errors(uri):
            await obstore.put_async(self._bucket, self._key(uri), source, attributes=attributes)

    async def head(self, uri: str) -> ObjectInfo | None:
        """Describe the object, or return None if there is none."""
        try:
            with self._errors(uri):
                found = await obstore.get_async(self._bucket, self._key(uri), options={"head": True})
        except NotFoundError:
            return None
        md5 = _known_md5(found.attributes.get(MD5_METADATA), found.meta["e_tag"])
        return ObjectInfo(uri, found.meta["size"], md5 or _md5(await self.get(uri)))

    async def delete(self, uri: str) -> None:
        """Remove the object; removing what is not there is no error."""
        try:
            with self._errors(uri):
                await obstore.delete_async(self._bucket, self._key(uri))
        except NotFoundError:
            return

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield the objects whose URI starts with `prefix`, in order of URI; their MD5 is left unknown."""
        key = self._below if prefix.rstrip("/") == self._prefix else self._key(prefix.removesuffix("/"))
        if prefix.endswith("/") and key:
            key += "/"
        found: list[tuple[str, int]] = []
        with self._errors(prefix):
            # The library asks by whole folders.
            async for chunk in obstore.list(self._bucket, key.rpartition("/")[0] or None):
                found += [(meta["path"], meta["size"]) for meta in chunk if meta["path"].startswith(key)]
        # Not every server that speaks S3 lists in order.
        for path, size in sorted(found):
            yield ObjectInfo(f"{SCHEME}{self._bucket_name}/{path}", size, None)

    async def sign(self, uri: str, method: Method, expires_in: timedelta, *, md5: bytes | None = None) -> SignedUrl:
        """Return a URL for one method on one object; with `md5` only that content may be put."""
        key = self._key(uri)
        if md5 is None or method != "PUT":
            with self._errors(uri):
                return SignedUrl(await obstore.sign_async(self._bucket, method, key, expires_in), {})
        if self._signer is None:
            raise InvalidInputError(
                "uploads of a given content can only be signed with keys of one's own",
                remedy="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            )
        headers = {"Content-MD5": _base64(md5), f"x-amz-meta-{MD5_METADATA}": _base64(md5)}
        url = f"{self._endpoint}/{self._bucket_name}/{quote(key, safe='/~')}"
        return SignedUrl(self._signer.sign("PUT", url, headers, expires_in, datetime.now(UTC)), headers)

    def _key(self, uri: str) -> str:
        if not uri.startswith(self._prefix + "/"):
            raise InvalidInputError(f"{uri!r} is not below {self._prefix}")
        _refuse_unsafe(uri, uri[len(self._prefix) + 1 :])
        return uri[len(SCHEME) + len(self._bucket_name) + 1 :]

    @contextmanager
    def _errors(self, uri: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, exceptions.NotFoundError) as error:
            if _said(error) == "NoSuchBucket":
                raise self._unavailable(error) from error
            raise NotFoundError(f"there is no object {uri}") from error
        except (FileExistsError, exceptions.AlreadyExistsError) as error:
            raise AlreadyExistsError(f"{uri} exists already") from error
        except exceptions.InvalidPathError as error:
            raise InvalidInputError(f"{uri!r} is no name that S3 can hold") from error
        except (exceptions.BaseError, OSError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> FlyteformError:
        # What the library says has addresses and the server's whole answer in it: the answer's code is enough.
        said = _said(error)
        return UnavailableError(
            f"the bucket {self._bucket_name} at {self._endpoint} "
            + (f"refuses this: {said}" if said else "does not answer"),
            remedy="check that it is there and has space, and its AWS_* settings, then try again",
        )


def _retries(patience: str) -> RetryConfig:
    if not patience.isdigit():
        return {"max_retries": RETRIES, "retry_timeout": RETRY_TIMEOUT}
    # The pauses between them grow to some seconds each.
    return {"max_retries": RETRIES + int(patience), "retry_timeout": timedelta(seconds=int(patience))}


def _open(bucket: str, endpoint: str, region: str, credentials: Credentials | None, retries: RetryConfig) -> Bucket:
    config: S3Config = {"endpoint": endpoint, "region": region}
    if credentials is not None:
        config |= {"access_key_id": credentials.key, "secret_access_key": credentials.secret}
        if credentials.token:
            config["session_token"] = credentials.token
    return Bucket(
        bucket,
        config=config,
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": CONNECT_TIMEOUT,
            "timeout": TIMEOUT,
        },
        retry_config=retries,
    )


def _credentials(environment: Mapping[str, str]) -> Credentials | None:
    key, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    return Credentials(key, secret, environment.get("AWS_SESSION_TOKEN", "")) if key and secret else None


def _refuse_unsafe(uri: str, path: str) -> None:
    if "\0" in path or any(segment in ("", ".", "..") for segment in path.split("/")):
        raise InvalidInputError(f"{uri!r} is not a plain path: it has an empty, '.' or '..' part, or a NUL in it")
    try:
        size = len(path.encode())
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"{uri!r} is no name that S3 can hold") from error
    if size > MAX_KEY_BYTES:
        raise InvalidInputError(f"the name of an object has {size} bytes, and S3 takes {MAX_KEY_BYTES}: {uri[:100]}…")


def _known_md5(stored: object, etag: str | None) -> bytes | None:
    if isinstance(stored, str):
        return base64.b64decode(stored)
    plain = _PLAIN_ETAG(etag or "")
    return bytes.fromhex(plain[1]) if plain else None


def _said(error: Exception) -> str:
    found = _CODE(str(error))
    return found[1] if found else ""


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
