"""What states in the control plane have of their own: which platforms keep them, and how they are named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flyteform.errors import InvalidInputError
from flyteform.provision.errors import StateError
from flyteform.provision.opening import open_backend
from flyteform.provision.ports import Holder
from support.control_plane import control_plane

if TYPE_CHECKING:
    from pathlib import Path

ME = Holder("me", "2026-01-01T00:00:00Z")


async def test_a_stock_platform_keeps_no_states(tmp_path: Path) -> None:
    """Where flyteform.v1 is not served, reading and locking say so, and where a state can lie."""
    async with control_plane(tmp_path, stock=True) as client:
        backend = open_backend("flyteform://flytesnacks/development/s", client.caller)
        for call in (backend.read, backend.holder, backend.unlock, lambda: backend.acquire(ME)):
            with pytest.raises(StateError, match="keeps no states") as caught:
                await call()
            assert "s3://" in str(caught.value.remedy)


async def test_a_project_that_is_not_there(tmp_path: Path) -> None:
    """A state cannot lie in a project that is unknown, for instance one that the declaration is to create."""
    async with control_plane(tmp_path) as client:
        with pytest.raises(StateError, match=r"project \[nobody\] not found"):
            await open_backend("flyteform://nobody/development/s", client.caller).acquire(ME)


async def test_urls_that_name_no_state(tmp_path: Path) -> None:
    """A project, a domain and a name: the error says so."""
    async with control_plane(tmp_path) as client:
        for url in ("flyteform://p", "flyteform://p/d", "flyteform://p/d/", "flyteform://p/d/n/m", "flyteform:///d/n"):
            with pytest.raises(InvalidInputError) as caught:
                open_backend(url, client.caller)
            assert "flyteform://PROJECT/DOMAIN/NAME" in str(caught.value.remedy)
