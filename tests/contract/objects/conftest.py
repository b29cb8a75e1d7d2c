"""One S3 server for all tests of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.s3 import S3Server, running_s3

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """Give a server with one bucket; each test takes a prefix of its own."""
    with running_s3() as server:
        yield server
