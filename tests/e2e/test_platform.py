"""The embedded platform as a process: start, ready, restart, a second start, the end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import urllib.error
from typing import TYPE_CHECKING

import pytest

from support.platform import FLYTEFORM, alive, clean_environment, running, wait_until

if TYPE_CHECKING:
    from pathlib import Path


def dev(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `flyteform dev` to its end: for starts that must be refused."""
    return subprocess.run(
        [FLYTEFORM, "dev", *arguments],
        env=clean_environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_clear_refusal(result: subprocess.CompletedProcess[str], *expected: str) -> None:
    """One message, no traceback, a code that is not 0."""
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "Error: " in result.stderr
    for text in expected:
        assert text in result.stderr


def test_it_is_ready_with_the_sandbox_project(tmp_path: Path) -> None:
    """A started platform answers /healthcheck with 200 and has flytesnacks with its three domains."""
    with running(tmp_path) as platform:
        platform.get("/healthcheck")
        projects = json.loads(platform.get("/api/v1/projects"))["projects"]
        assert [project["id"] for project in projects] == ["flytesnacks"]
        assert [domain["id"] for domain in projects[0]["domains"]] == ["development", "staging", "production"]


def test_it_takes_a_configuration_below_its_flags(tmp_path: Path) -> None:
    """The file's domains are served, the flags' ports win over its own; what is wrong in it ends the start."""
    file = tmp_path / "config.yaml"
    file.write_text("{server: {httpPort: 1, grpc: {port: 1}}, domains: [{id: only}]}")
    with running(tmp_path, f"--config={file}") as platform:
        (project,) = json.loads(platform.get("/api/v1/projects"))["projects"]
        assert [domain["id"] for domain in project["domains"]] == ["only"]
    file.write_text("{dispatch: {attempts: 0}}")
    refused = dev(tmp_path, f"--config={file}", f"--state-dir={tmp_path / 'state'}")
    assert_clear_refusal(refused, f"{file}: dispatch.attempts: ")


def test_a_second_start_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    """A second platform on the same directory says who holds it; the first one goes on serving."""
    with running(tmp_path) as platform:
        refused = dev(tmp_path, "--grpc-port=0", "--http-port=0", f"--state-dir={platform.state_dir}")
        assert_clear_refusal(refused, "already running", str(platform.process.pid), "--state-dir")
        platform.get("/healthcheck")


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    """A port that somebody else holds is refused with its number and the flag to change it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for flag, other in (("--grpc-port", "--http-port"), ("--http-port", "--grpc-port")):
            refused = dev(tmp_path, f"{flag}={port}", f"{other}=0", f"--state-dir={tmp_path / 'state'}")
            assert_clear_refusal(refused, str(port), flag)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org", "::"])  # noqa: S104 - it must be refused
def test_only_loopback_is_served(tmp_path: Path, host: str) -> None:
    """Another address than loopback is refused, as anybody could call a platform without login."""
    refused = dev(tmp_path, f"--host={host}", "--grpc-port=0", "--http-port=0", f"--state-dir={tmp_path / 'state'}")
    assert_clear_refusal(refused, host, "127.0.0.1")


@pytest.mark.parametrize("rule", ["nothing", "*=", "=/usr/bin/python3", "*=/no/such/python"])
def test_a_wrong_image_rule_is_refused_before_anything_starts(tmp_path: Path, rule: str) -> None:
    """A rule of another form, or with an interpreter that is not there, is one message, and no state is made."""
    state = tmp_path / "state"
    refused = dev(tmp_path, f"--image={rule}", "--grpc-port=0", "--http-port=0", f"--state-dir={state}")
    assert_clear_refusal(refused, "--image", rule)
    assert not state.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_within_five_seconds(tmp_path: Path, number: signal.Signals) -> None:
    """SIGTERM and Ctrl-C end the platform with exit code 0 and leave no process behind."""
    with running(tmp_path) as platform:
        tree = platform.tree()
        assert len(tree) > 1
        platform.process.send_signal(number)
        assert platform.process.wait(timeout=5) == 0
        assert alive(tree) == []
        assert not (platform.state_dir / "platform.json").exists()


def test_nothing_outlives_a_killed_platform(tmp_path: Path) -> None:
    """When the platform itself is killed, its data plane ends too, and a new start on its directory works."""
    with running(tmp_path) as platform:
        tree = platform.tree()
        platform.process.kill()
        platform.process.wait(timeout=10)
        wait_until(lambda: not alive(tree), seconds=10, what="every process of the killed platform ends")
        platform.start()
        platform.get("/healthcheck")


def test_data_survives_a_restart(tmp_path: Path) -> None:
    """A project that was registered is there after the platform was ended and started again."""
    source = tmp_path / "declared.py"
    source.write_text('from flyteform.provision import Project\n\nProject("kept", name="Kept")\n')
    with running(tmp_path) as platform:
        applied = platform.run("apply", "--auto-approve", str(source))
        assert applied.returncode == 0, applied.stderr
        platform.stop()
        platform.start()
        ids = {project["id"] for project in json.loads(platform.get("/api/v1/projects"))["projects"]}
        assert ids == {"flytesnacks", "kept"}


def test_unknown_paths_and_objects_are_refused(tmp_path: Path) -> None:
    """A path that is no method's and an unsigned object are 404 and 403."""
    with running(tmp_path) as platform:
        for path, code in (("/api/v1/nothing", 404), ("/objects/metadata/x", 403)):
            with pytest.raises(urllib.error.HTTPError) as refused:
                platform.get(path)
            assert refused.value.code == code
            refused.value.close()


def test_the_state_directory_is_private(tmp_path: Path) -> None:
    """Only its owner may read the state directory, as keys and data lie in it."""
    with running(tmp_path) as platform:
        assert platform.state_dir.stat().st_mode & 0o077 == 0
