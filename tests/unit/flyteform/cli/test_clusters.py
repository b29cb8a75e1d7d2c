"""`flyteform get clusters` and `flyteform cluster`, against a control plane."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from flyteform.cli import main as cli
from flyteform.client.clusters import ClusterClient
from flyteform.proto.flyteform.v1.clusters_pb2 import ClusterSpec, StorageProfile
from flyteform.proto.flyteform.v1.link_pb2 import FromDataPlane, Register
from flyteform.proto.flyteform.v1.link_pb2_grpc import DataPlaneLinkStub
from support.control_plane import control_plane

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flyteform.client.admin import AdminClient


class Shell:
    """The command line, on one platform."""

    def __init__(self, client: AdminClient, capsys: pytest.CaptureFixture[str]) -> None:
        self.client, self._capsys = client, capsys

    async def run(self, *argv: str) -> tuple[int, str, str]:
        """Return the exit code, and what is printed on both streams."""
        code = await asyncio.to_thread(self._run, argv)
        out, err = self._capsys.readouterr()
        return code, out, err

    def _run(self, argv: tuple[str, ...]) -> int:
        with pytest.raises(SystemExit) as ended:
            cli.main([*argv, "--endpoint", self.client.caller.endpoint, "--insecure"])
        assert isinstance(ended.value.code, int)
        return ended.value.code


@pytest.fixture
async def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Shell]:
    """Give a shell on a platform with two clusters, one of which is connected."""
    async with control_plane(tmp_path) as client:
        clusters = ClusterClient(client.caller)
        await clusters.put("east", ClusterSpec(labels={"gpu": 2.5}, weight=0.5))
        await clusters.put("west", ClusterSpec())
        stream = DataPlaneLinkStub(client.caller.channel).Connect()
        storage = StorageProfile(prefix="s3://east/flyte")
        await stream.write(FromDataPlane(register=Register(cluster="east", version="1.2", storage=storage)))
        await stream.read()
        yield Shell(client, capsys)
        stream.cancel()


async def test_clusters_are_listed_as_a_table(shell: Shell) -> None:
    """One line each by name: state, labels with weights, what it holds, its store; unknown things are a dash."""
    code, out, err = await shell.run("get", "clusters")
    header, east, west = (line.split() for line in out.splitlines())
    assert (code, err) == (0, "")
    assert header == ["NAME", "STATE", "LABELS", "HELD", "STORAGE", "RESOURCES", "VERSION", "SINCE"]
    assert east[:7] == ["east", "READY", "gpu=2.5,", "(any)=0.5", "0", "s3://east/flyte", "-"]
    assert east[7] == "1.2"
    assert west == ["west", "PENDING", "-", "0", "-", "-", "-", "-"]


async def test_clusters_are_listed_as_json(shell: Shell) -> None:
    """All that is known, for programs."""
    code, out, _ = await shell.run("get", "clusters", "--json")
    east, west = json.loads(out)["clusters"]
    assert (code, east["name"], east["state"], east["spec"]["labels"]) == (0, "east", "READY", {"gpu": 2.5})
    assert east["storage"] == {"prefix": "s3://east/flyte"}
    assert (west["name"], west["state"]) == ("west", "PENDING")


async def test_a_cluster_is_drained_cordoned_and_let_work_again(shell: Shell) -> None:
    """Each command says what the cluster is now."""
    assert await shell.run("cluster", "drain", "east", "--wait") == (0, "east: DRAINED\n", "")
    assert (await shell.run("get", "clusters"))[1].splitlines()[1].split()[1] == "DRAINED"
    assert await shell.run("cluster", "uncordon", "east") == (0, "east: READY\n", "")
    assert await shell.run("cluster", "cordon", "west") == (0, "west: CORDONED\n", "")
    assert await shell.run("cluster", "uncordon", "west") == (0, "west: PENDING\n", "")


async def test_nothing_is_given_up_by_mistake(shell: Shell) -> None:
    """Without a terminal it has to be said that nobody is asked; a cluster that is heard is drained instead."""
    code, out, err = await shell.run("cluster", "abandon", "east")
    assert (code, out) == (1, "")
    assert "add -y" in err
    code, out, err = await shell.run("cluster", "abandon", "east", "-y")
    assert (code, out) == (1, "")
    assert "flyteform cluster drain east" in err
    assert "there is no cluster 'north'" in (await shell.run("cluster", "abandon", "north", "-y"))[2]


async def test_an_unknown_cluster_is_one_message(shell: Shell) -> None:
    """It names the cluster and says where to look."""
    code, _, err = await shell.run("cluster", "drain", "north")
    assert code == 1
    assert err.splitlines()[0].startswith("Error: there is no cluster 'north'")


async def test_a_token_is_printed_alone(shell: Shell) -> None:
    """Its line can be piped into a secret; what is said about it goes to the other stream."""
    code, out, err = await shell.run("cluster", "token", "west", "--ttl", "5")
    assert (code, len(out.split())) == (0, 1)
    assert "good once" in err
    assert out.strip() not in err


async def test_a_stock_platform_is_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Against a FlyteAdmin without clusters every command says so in a sentence, and where its clusters are."""
    async with control_plane(tmp_path, stock=True) as client:
        stock = Shell(client, capsys)
        for argv in (("get", "clusters"), ("cluster", "drain", "east"), ("cluster", "token", "east")):
            code, out, err = await stock.run(*argv)
            assert (code, out) == (1, "")
            assert "stock FlyteAdmin" in err
            assert "clusterConfigs" in err
