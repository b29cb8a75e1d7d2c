"""FlyteRemote, stock flytekit 1.16.31, on nodes of every kind and on gates, as a data plane reports them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flyteform_controlplane.server import ControlPlane
from flyteform_controlplane.settings import ControlPlaneSettings
from support import stock

if TYPE_CHECKING:
    from pathlib import Path


async def test_nodes_of_every_kind_and_gates(tmp_path: Path) -> None:
    """Sub-workflow, launch plan, branch, map, dynamic and signals are read and answered as with Flyte."""
    running = ControlPlane(ControlPlaneSettings(state_dir=tmp_path / "platform", grpc_port=0, http_port=0))
    endpoint = (await running.start()).grpc
    try:
        seen = await asyncio.to_thread(
            stock.seen, "nested_nodes.py", endpoint, str(tmp_path / "platform" / "objects"),
            home=tmp_path, endpoint=endpoint,
        )  # fmt: skip
    finally:
        await running.stop()
    nested = seen["nested"]
    assert nested["phase"] == 4
    assert nested["outputs"] == [12, 24, 12, 8, 3]
    assert nested["top"] == ["n0", "n1", "n2", "n3", "n4", "n5"]
    assert nested["kinds"] == {
        "n0": [True, False, False],
        "n1": [True, False, False],
        "n2": [False, False, False],
        "n3": [False, False, True],
        "n4": [False, False, False],
        "n5": [True, True, False],
    }
    assert nested["branch"] == {"n0-chosen": 3}
    assert nested["sub"] == {"n1-0-n0": 6, "n1-0-n1": 6}
    assert nested["launched"] == ["launched", 4, 24, 1]
    assert nested["array"] == [3]
    assert nested["dynamic"] == {"n5-0-n0": 4, "n5-0-n1": 4}
    assert nested["dynamic_interface"] == ["o0"]
    assert nested["spans"] == nested["top"]
    assert seen["gates"] == {
        "waiting": ["agreed", "given"],
        "refused": ["given", "nowhere"],
        "rejected": "boolean: false",
        "answers": [6, True],
        "ended": 7,
    }
