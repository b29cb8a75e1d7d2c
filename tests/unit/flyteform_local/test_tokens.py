"""The embedded data plane's token: there before it is needed, renewed, private, and gone at the end."""

from __future__ import annotations

import asyncio
import stat
from typing import TYPE_CHECKING, cast

from flyteform_controlplane.auth.authority import IssuedToken
from flyteform_local.tokens import renewed_token

if TYPE_CHECKING:
    from pathlib import Path

    from flyteform_controlplane.server import ControlPlane


class Issuer:
    """Issues numbered tokens that live for a fiftieth of a second; an integer number of seconds would be too slow."""

    issued = 0

    def cluster_token(self, cluster: str) -> IssuedToken:
        """Return the next one."""
        self.issued += 1
        return IssuedToken(f"{cluster}-{self.issued}", cast("int", 0.02), "dataplane")


async def test_the_token_is_renewed_in_its_file(tmp_path: Path) -> None:
    """The file holds a newer token each time that the former is half through its life; only its owner may read it."""
    async with renewed_token(cast("ControlPlane", Issuer()), tmp_path) as path:
        assert path.read_text() == "embedded-1"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        async with asyncio.timeout(10):
            while path.read_text() in {"embedded-1", "embedded-2"}:  # noqa: ASYNC110 - a file has no event
                await asyncio.sleep(0.005)
    assert not path.exists()
