"""Signed URLs for S3 against the example that AWS publishes with the rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from flyteform.objects.sigv4 import Credentials, Signer

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
AT = datetime(2013, 5, 24, tzinfo=UTC)
URL = "https://examplebucket.s3.amazonaws.com/test.txt"
DAY = timedelta(days=1)


def query(url: str) -> dict[str, list[str]]:
    """Return the parameters of a URL."""
    return parse_qs(urlsplit(url).query)


def test_the_published_example() -> None:
    """The signature is the one that AWS gives for its example of a URL that is good for a day."""
    signed = Signer(Credentials(KEY, SECRET), "us-east-1").sign("GET", URL, {}, DAY, AT)
    assert signed.startswith(URL + "?")
    assert query(signed)["X-Amz-Signature"] == ["aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"]


def test_headers_and_tokens_are_part_of_it() -> None:
    """Headers are named in the URL and change its signature, as does the token of temporary keys."""
    plain, temporary = (Signer(Credentials(KEY, SECRET, token), "us-east-1") for token in ("", "a+token"))
    urls = [
        plain.sign("PUT", URL, {}, DAY, AT),
        plain.sign("PUT", URL, {"Content-MD5": "AAAA"}, DAY, AT),
        plain.sign("PUT", URL, {"Content-MD5": "BBBB"}, DAY, AT),
        temporary.sign("PUT", URL, {"Content-MD5": "BBBB"}, DAY, AT),
    ]
    assert len({query(url)["X-Amz-Signature"][0] for url in urls}) == len(urls)
    assert query(urls[1])["X-Amz-SignedHeaders"] == ["content-md5;host"]
    assert query(urls[3])["X-Amz-Security-Token"] == ["a+token"]


def test_secrets_are_not_shown() -> None:
    """Neither the signer nor the URL shows the secret."""
    signer = Signer(Credentials(KEY, SECRET, "token"), "us-east-1")
    assert SECRET not in repr(signer) + signer.sign("GET", URL, {}, DAY, AT)
