"""Signed URLs: what was signed is accepted, and nothing else."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Literal
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyteform.errors import InvalidInputError
from flyteform.objects.signing import SignatureRefusedError, UrlSigner, decode_md5

KEY = bytes(range(32))
BASE = "http://127.0.0.1:1/objects"
MD5 = hashlib.md5(b"content").digest()  # noqa: S324 - S3's own checksum
HOUR = timedelta(hours=1)


def signer(now: float = 1000.0, key: bytes = KEY) -> UrlSigner:
    """Return a signer whose clock stands still."""
    return UrlSigner(key, BASE, clock=lambda: now)


def parts(url: str) -> tuple[str, str]:
    """Split a URL into the decoded path below the base and the raw query, as a server does."""
    split = urlsplit(url)
    return unquote(split.path).removeprefix("/objects/"), split.query


paths = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
methods: st.SearchStrategy[Literal["GET", "PUT"]] = st.sampled_from(["GET", "PUT"])


@given(path=paths, method=methods, md5=st.none() | st.binary(min_size=16, max_size=16))
def test_what_was_signed_is_granted(path: str, method: Literal["GET", "PUT"], md5: bytes | None) -> None:
    """Every signed URL is accepted for its own path, method and content, through URL encoding and back."""
    url = signer().sign(path, method, HOUR, md5=md5).url
    grant = signer().verify(method, *parts(url))
    assert (grant.path, grant.method, grant.md5) == (path, method, md5)


@given(path=paths, other=paths, method=methods)
def test_another_path_or_method_is_refused(path: str, other: str, method: Literal["GET", "PUT"]) -> None:
    """A URL says nothing about any other object, nor about the other method."""
    _, query = parts(signer().sign(path, method, HOUR).url)
    for wrong_method, wrong_path in ((method, other + "/" + path), ("GET" if method == "PUT" else "PUT", path)):
        with pytest.raises(SignatureRefusedError):
            signer().verify(wrong_method, wrong_path, query)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("expires=4600", "expires=4601"),
        ("expires=4600", "expires=99999999"),
        ("method=PUT", "method=GET"),
        ("md5=", "md5=A"),
        ("&md5=", "&md6="),
        ("signature=", "signature=0"),
        ("signature=", "signature=%C3%A9"),
        ("expires=4600", "expires=4600&expires=4600"),
        ("expires=4600", "expires=-1"),
        ("expires=4600", "expires=%D9%A1"),
        ("expires=4600", "expires=4600&extra=1"),
        ("expires=4600&", ""),
    ],
)
def test_a_changed_query_is_refused(old: str, new: str) -> None:
    """Changing, repeating, adding or leaving out any parameter voids the URL."""
    path, query = parts(signer().sign("a/b", "PUT", HOUR, md5=MD5).url)
    assert old in query
    with pytest.raises(SignatureRefusedError):
        signer().verify("PUT", path, query.replace(old, new))


def test_a_url_expires() -> None:
    """A URL is good until its last second and not after it."""
    path, query = parts(signer(now=1000).sign("a", "GET", timedelta(seconds=10)).url)
    signer(now=1009.9).verify("GET", path, query)
    with pytest.raises(SignatureRefusedError, match="expired"):
        signer(now=1010).verify("GET", path, query)


def test_an_expired_forgery_is_not_called_expired() -> None:
    """What was never signed is told so, whatever its time says."""
    with pytest.raises(SignatureRefusedError, match="not for this"):
        signer().verify("GET", "a", "method=GET&expires=1&signature=00")


def test_get_serves_head_and_put_does_not() -> None:
    """Who may read an object may ask for its size; who may write it may not read it."""
    path, query = parts(signer().sign("a", "GET", HOUR).url)
    assert signer().verify("HEAD", path, query).method == "GET"
    for method in ("DELETE", "POST", "get", ""):
        with pytest.raises(SignatureRefusedError, match="no URL is signed"):
            signer().verify(method, path, query)
    path, query = parts(signer().sign("a", "PUT", HOUR).url)
    for method in ("GET", "HEAD", "DELETE", "POST"):
        with pytest.raises(SignatureRefusedError):
            signer().verify(method, path, query)


def test_another_key_is_refused() -> None:
    """A URL signed with another key is void."""
    path, query = parts(signer(key=bytes(32)).sign("a", "GET", HOUR).url)
    with pytest.raises(SignatureRefusedError):
        signer().verify("GET", path, query)


def test_headers_to_send() -> None:
    """Content that is bound by the signature is announced by the header Content-MD5."""
    assert signer().sign("a", "PUT", HOUR, md5=MD5).headers == {"Content-MD5": "mgNkuembtIDdJeHwKEyFVQ=="}
    assert signer().sign("a", "PUT", HOUR).headers == {}


def test_short_keys_are_refused() -> None:
    """A key that could be guessed is no key."""
    with pytest.raises(InvalidInputError, match="32 bytes"):
        UrlSigner(b"short", BASE)


@pytest.mark.parametrize("text", ["", "***", "AAAA", "mgNkuembtIDdJeHwKEyFVQ"])
def test_malformed_md5_is_refused(text: str) -> None:
    """Only 16 bytes in base64 are an MD5."""
    with pytest.raises(InvalidInputError, match="Content-MD5"):
        decode_md5(text)
