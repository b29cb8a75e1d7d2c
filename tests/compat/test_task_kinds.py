"""Stock flytekit's task types and data types, by `pyflyte run --remote`: one workflow with all of them."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from flyteidl.service.dataproxy_pb2 import CreateDownloadLocationRequest
from flyteidl.service.dataproxy_pb2_grpc import DataProxyServiceStub

from support import stock
from support.platform import wait_until

if TYPE_CHECKING:
    from support.platform import Platform

NAME = "kinds"


@pytest.fixture(scope="module")
def execution(platform: Platform, flytekit: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Give the outputs of the workflow's execution."""
    database = tmp_path_factory.mktemp("database") / "numbers.sqlite"
    with sqlite3.connect(database) as opened:
        opened.execute("create table numbers (n integer)")
        opened.executemany("insert into numbers values (?)", [(n,) for n in range(5)])
    opened.close()
    environment = {**stock.environment(platform.home, platform.grpc), "KINDS_DATABASE": str(database)}
    started = subprocess.run(
        [
            str(flytekit / "pyflyte"), "run", "--remote", "-p", stock.PROJECT, "-d", stock.DOMAIN, "--name", NAME,
            "kinds.py", "everything",
            "--numbers", "[1, 0, 2, 4]", "--point", '{"x": 3, "y": [1.5]}', "--text", "hello",
        ],
        cwd=stock.WORKFLOWS, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=110,
        check=False,
    )  # fmt: skip
    assert started.returncode == 0, started.stdout + started.stderr

    def over() -> bool:
        return phase(platform) in ("SUCCEEDED", "FAILED", "ABORTED")

    wait_until(over, seconds=100, what="the execution ends")
    if phase(platform) != "SUCCEEDED":
        pytest.fail(json.dumps(get(platform, "executions")["closure"]["error"], indent=1))
    outputs: dict[str, Any] = get(platform, "data/executions")["full_outputs"]["literals"]
    return outputs


def get(platform: Platform, path: str, more: str = "") -> dict[str, Any]:
    """Return what REST says of the execution."""
    answer: dict[str, Any] = json.loads(platform.get(f"/api/v1/{path}/{stock.PROJECT}/{stock.DOMAIN}/{NAME}{more}"))
    return answer


def phase(platform: Platform) -> str:
    """Return the phase of the execution."""
    return str(get(platform, "executions")["closure"]["phase"])


def value(literal: dict[str, Any]) -> Any:
    """Return a primitive's value."""
    return next(iter(literal["scalar"]["primitive"].values()))


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        pytest.param("o0", "3", id="map with a failed item"),
        pytest.param("o1", "hello", id="FlyteFile"),
        pytest.param("o2", "10", id="FlyteDirectory"),
        pytest.param("o3", "6", id="StructuredDataset"),
        pytest.param("o4", "9", id="pandas frame"),
        pytest.param("o6", "3 steps, attempt 2", id="checkpoint"),
        pytest.param("o7", "7", id="deck"),
        pytest.param("o8", 9.5, id="raw container, value"),
        pytest.param("o9", "hello", id="raw container, file"),
        pytest.param("o10", "one", id="raw container, list"),
        pytest.param("o11", "5", id="shell task"),
        pytest.param("o12", "2", id="SQLite3Task"),
    ],
)
def test_output(execution: dict[str, Any], output: str, expected: object) -> None:
    """Each kind of task gives what it should."""
    assert value(execution[output]) == expected


def test_deck(platform: Platform, execution: dict[str, Any]) -> None:
    """The page that a task has drawn lies where its node says, and a client gets a link to it."""
    assert execution
    nodes = get(platform, "node_executions", "?limit=100")["node_executions"]
    pages = [node["closure"]["deck_uri"] for node in nodes if node["closure"].get("deck_uri")]
    assert any("7 is shown" in Path(page.removeprefix("file://")).read_text() for page in pages)


def test_log(platform: Platform, execution: dict[str, Any]) -> None:
    """What a task has printed is behind its log link, for which a client anywhere gets a signed URL."""
    assert execution
    nodes = get(platform, "node_executions", "?limit=100")["node_executions"]
    nodes = [node for node in nodes if node["metadata"].get("spec_node_id", "").startswith("n")]
    assert any(b"wc -c" in content for node in nodes for content in logs(platform, node["id"]["node_id"]))


def logs(platform: Platform, node: str) -> list[bytes]:
    """Return what the attempts of a node have printed."""
    found = []
    for attempt in get(platform, "task_executions", f"/{node}?limit=10")["task_executions"]:
        with grpc.insecure_channel(platform.grpc) as channel:
            for link in attempt["closure"].get("logs", ()):
                request = CreateDownloadLocationRequest(native_url=link["uri"])
                signed = DataProxyServiceStub(channel).CreateDownloadLocation(request, timeout=20).signed_url
                with urllib.request.urlopen(signed, timeout=20) as answer:  # noqa: S310 - the platform's own
                    found.append(answer.read())
    return found


def test_dataclass_and_enum(execution: dict[str, Any]) -> None:
    """A dataclass and an enumeration go in and come out."""
    assert execution["o5"]["scalar"]["binary"]["tag"] == "msgpack"
