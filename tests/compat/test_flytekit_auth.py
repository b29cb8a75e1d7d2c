"""Stock flytekit, and our own commands, against an embedded platform that asks for a login."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.platform import FLYTEFORM, Platform, clean_environment, running

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKFLOWS = Path(__file__).parent / "workflows"
OURS = Path(__file__).parents[1] / "e2e" / "workflows"
LIST = """
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.configuration import PlatformConfig
client = SynchronousFlyteClient(PlatformConfig.auto())
print(sorted(project.id for project in client.list_projects_paginated(limit=10)[0]))
"""
# What an organisation's own program does: it prints a token, from wherever it has it.
COMMAND = """
import json, sys, urllib.parse, urllib.request
url, secret = sys.argv[1], open(sys.argv[2]).read()
form = {"grant_type": "client_credentials", "client_id": "flyteform", "client_secret": secret}
with urllib.request.urlopen(url, urllib.parse.urlencode(form).encode()) as answer:
    print(json.load(answer)["access_token"])
"""


@pytest.fixture(scope="module")
def programs() -> Path:
    """Give the folder with the stock client's programs; `make compat` makes it and `make test` says where."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = Path(os.environ.get("FLYTEFORM_FLYTEKIT") or cache / "flyteform" / "flytekit-1.16.31") / "bin"
    assert (found / "pyflyte").exists(), f"no stock client in {found}: run `make compat`"
    return found


@pytest.fixture(scope="module")
def platform(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Give a platform with login that runs flytekit's images with the stock client's interpreter."""
    folder = tmp_path_factory.mktemp("login")
    with running(folder, "--auth", f"--image=*flytekit*={programs / 'python'}") as started:
        yield started


def secret_file(platform: Platform) -> Path:
    """Return where the platform put the secret of its users' client."""
    return platform.state_dir / "auth" / "flyteform.secret"


def home_with(folder: Path, platform: Platform, **login: object) -> Path:
    """Make a home directory whose Flyte configuration logs in like this."""
    admin = {"endpoint": f"dns:///{platform.grpc}", "insecure": True, **login}
    (folder / ".flyte").mkdir(parents=True)
    (folder / ".flyte" / "config.yaml").write_text(json.dumps({"admin": admin}))  # YAML knows JSON
    return folder


def client_secret(folder: Path, platform: Platform, secret: Path | None = None) -> Path:
    """Make a home directory that logs in with the client's secret."""
    location = str(secret or secret_file(platform))
    return home_with(folder, platform, authType="ClientSecret", clientId="flyteform", clientSecretLocation=location)


def external_command(folder: Path, platform: Platform, python: Path) -> Path:
    """Make a home directory that logs in with what a command prints."""
    script = folder / "token.py"
    script.parent.mkdir(exist_ok=True)
    script.write_text(COMMAND)
    command = [str(python), str(script), f"{platform.http}/oauth2/token", str(secret_file(platform))]
    return home_with(folder / "home", platform, authType="ExternalCommand", command=command)


def call(home: Path, *command: str | Path, cwd: Path = WORKFLOWS) -> subprocess.CompletedProcess[str]:
    """Run a program with that home."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=clean_environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_stock_client_with_a_secret_runs_a_workflow(programs: Path, platform: Platform, tmp_path: Path) -> None:
    """`pyflyte run --remote --wait` by the ClientSecret flow: upload, registration, run and outputs, all with login."""
    home = client_secret(tmp_path / "home", platform)
    options = ("run", "--remote", "--wait", "--poll-interval", "1", "-p", "flytesnacks", "-d", "development")
    run = call(home, programs / "pyflyte", *options, "two_steps.py", "two_steps", "--n", "3")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "has succeeded" in run.stdout
    assert secret_file(platform).read_text() not in run.stdout + run.stderr + platform.log.read_text()


def test_stock_client_with_a_command_is_served(programs: Path, platform: Platform, tmp_path: Path) -> None:
    """Flytekit's ExternalCommand flow: the token that the command prints is shown and believed."""
    home = external_command(tmp_path, platform, programs / "python")
    listed = call(home, programs / "python", "-c", LIST)
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.splitlines()[-1] == "['flytesnacks']"


def test_stock_client_with_another_secret_is_refused(programs: Path, platform: Platform, tmp_path: Path) -> None:
    """Flyte's default secret opens nothing."""
    wrong = tmp_path / "wrong"
    wrong.write_text("foobar")
    listed = call(client_secret(tmp_path / "home", platform, wrong), programs / "python", "-c", LIST)
    assert listed.returncode != 0
    assert "invalid_client" in listed.stderr


def test_our_own_commands_log_in_from_the_same_configuration(
    programs: Path, platform: Platform, tmp_path: Path
) -> None:
    """`flyteform run --remote` by a secret and by a command; with neither it says what to write, where."""
    run = (FLYTEFORM, "run", "--remote", "--json", OURS / "marked.py", "item", "--x", "4")
    for home in (
        client_secret(tmp_path / "secret", platform),
        external_command(tmp_path / "command", platform, programs / "python"),
    ):
        done = call(home, *run, cwd=OURS)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {"o0": 8}
    refused = call(home_with(tmp_path / "none", platform), *run, cwd=OURS)
    assert refused.returncode == 1
    assert "asks for a login" in refused.stderr
    assert "clientSecretLocation" in refused.stderr
    wrong = tmp_path / "wrong"
    wrong.write_text("0123456789")
    refused = call(client_secret(tmp_path / "wrong-secret", platform, wrong), *run, cwd=OURS)
    assert refused.returncode == 1
    assert "no client with this id and secret" in refused.stderr
    assert "0123456789" not in refused.stderr
    assert "Traceback" not in refused.stderr


def test_on_the_same_machine_the_login_is_found(platform: Platform, tmp_path: Path) -> None:
    """Whoever may read the platform's own files needs no configuration; others are refused."""
    environment = clean_environment(tmp_path)
    state = tmp_path / "state" / "flyteform"
    state.mkdir(parents=True)
    (state / "platform.json").write_bytes((platform.state_dir / "platform.json").read_bytes())
    run = [FLYTEFORM, "run", "--remote", "--json", "marked.py", "item", "--x", "5"]
    done = subprocess.run(run, cwd=OURS, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"o0": 10}
    with pytest.raises(urllib.error.HTTPError, match="401"):
        platform.get("/api/v1/projects")
    assert (platform.state_dir / "dataplane.token").stat().st_mode & 0o777 == 0o600
