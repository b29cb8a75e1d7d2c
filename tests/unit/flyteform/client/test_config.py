"""Where the platform is found: precedence of the sources, forms of an address, what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from flyteform.client.config import ConnectionOptions, default_state_dir, resolve
from flyteform.client.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


def write_flyte_config(home: Path, text: str) -> Path:
    """Write the user's Flyte configuration."""
    path = home / ".flyte" / "config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def write_platform_file(home: Path, pid: int) -> None:
    """Write what a local platform says about itself."""
    folder = default_state_dir({}, home)
    folder.mkdir(parents=True)
    document = {"grpc": "127.0.0.1:7001", "http": "http://127.0.0.1:7002", "pid": pid}
    (folder / "platform.json").write_text(json.dumps(document))


def test_flags_win_over_environment_over_file_over_local_platform(tmp_path: Path) -> None:
    """Each source is used only when none before it names an endpoint."""
    write_flyte_config(tmp_path, "admin:\n  endpoint: dns:///file.example:443\n")
    write_platform_file(tmp_path, os.getpid())
    environ = {"FLYTEFORM_ENDPOINT": "env.example:81"}
    assert resolve(ConnectionOptions(endpoint="flag.example:80"), environ, tmp_path).endpoint == "flag.example:80"
    assert resolve(ConnectionOptions(), environ, tmp_path).endpoint == "env.example:81"
    assert resolve(ConnectionOptions(), {}, tmp_path).endpoint == "file.example:443"
    (tmp_path / ".flyte" / "config.yaml").unlink()
    found = resolve(ConnectionOptions(), {}, tmp_path)
    assert (found.endpoint, found.http, found.insecure) == ("127.0.0.1:7001", "http://127.0.0.1:7002", True)


def test_a_platform_that_is_dead_does_not_count(tmp_path: Path) -> None:
    """The file that a killed platform left behind is not believed."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    write_platform_file(tmp_path, ended.pid)
    with pytest.raises(ConfigurationError, match="no platform"):
        resolve(ConnectionOptions(), {}, tmp_path)


def test_nothing_found_names_the_ways_to_say_it(tmp_path: Path) -> None:
    """Without any source the error tells the flag, the variable, the file and the command."""
    with pytest.raises(ConfigurationError) as refused:
        resolve(ConnectionOptions(), {}, tmp_path)
    for way in ("--endpoint", "FLYTEFORM_ENDPOINT", "config.yaml", "flyteform dev"):
        assert way in str(refused.value.remedy)


@pytest.mark.parametrize(
    ("given", "endpoint", "insecure"),
    [
        ("127.0.0.1:8089", "127.0.0.1:8089", True),
        ("localhost:30080", "localhost:30080", True),
        ("[::1]:8089", "[::1]:8089", True),
        ("flyte.example.org", "flyte.example.org:443", False),
        ("dns:///flyte.example.org:8443", "flyte.example.org:8443", False),
        ("http://flyte.example.org", "flyte.example.org:80", True),
        ("https://127.0.0.1:9000/", "127.0.0.1:9000", False),
    ],
)
def test_forms_of_an_address(tmp_path: Path, given: str, endpoint: str, insecure: bool) -> None:
    """Schemes say whether TLS is used; without one it is used for all but loopback addresses."""
    found = resolve(ConnectionOptions(endpoint=given), {}, tmp_path)
    assert (found.endpoint, found.insecure) == (endpoint, insecure)


@pytest.mark.parametrize("given", ["nowhere:port", "a/b:1", ":80"])
def test_what_is_no_address_is_refused(tmp_path: Path, given: str) -> None:
    """An endpoint that is not HOST:PORT is named with the source that it came from."""
    with pytest.raises(ConfigurationError, match="--endpoint"):
        resolve(ConnectionOptions(endpoint=given), {}, tmp_path)


def test_tls_settings_of_the_file(tmp_path: Path) -> None:
    """`insecure`, `caCertFilePath` and `insecureSkipVerify` of Flyte's file count for its endpoint."""
    write_flyte_config(tmp_path, "admin:\n  endpoint: a.example:1\n  insecure: true\n  caCertFilePath: /ca.pem\n")
    found = resolve(ConnectionOptions(), {}, tmp_path)
    assert found.insecure
    assert str(found.ca_file) == "/ca.pem"


def test_the_flag_and_the_variable_decide_on_tls(tmp_path: Path) -> None:
    """--secure wins over FLYTEFORM_INSECURE, which wins over what the source says."""
    write_flyte_config(tmp_path, "admin:\n  endpoint: a.example:1\n  insecure: true\n")
    environ = {"FLYTEFORM_INSECURE": "false"}
    assert resolve(ConnectionOptions(), environ, tmp_path).insecure is False
    assert resolve(ConnectionOptions(insecure=True), environ, tmp_path).insecure is True


def test_project_and_domain(tmp_path: Path) -> None:
    """Flags win over the environment, and Flyte's sandbox project is the default."""
    options = ConnectionOptions(endpoint="a:1")
    default = resolve(options, {}, tmp_path)
    assert (default.project, default.domain) == ("flytesnacks", "development")
    environ = {"FLYTEFORM_PROJECT": "p", "FLYTEFORM_DOMAIN": "d"}
    assert resolve(options, environ, tmp_path).project == "p"
    assert resolve(ConnectionOptions(endpoint="a:1", domain="x"), environ, tmp_path).domain == "x"


def test_a_named_configuration_has_to_exist(tmp_path: Path) -> None:
    """FLYTECTL_CONFIG that names no file is an error, not silently ignored."""
    with pytest.raises(ConfigurationError, match=r"missing\.yaml"):
        resolve(ConnectionOptions(), {"FLYTECTL_CONFIG": str(tmp_path / "missing.yaml")}, tmp_path)


@pytest.mark.parametrize("text", ["admin: [", "\x00"])
def test_a_broken_configuration_is_named(tmp_path: Path, text: str) -> None:
    """A file that is no YAML is an error that names it."""
    path = write_flyte_config(tmp_path, text)
    with pytest.raises(ConfigurationError, match=str(path)):
        resolve(ConnectionOptions(), {}, tmp_path)


def test_a_flag_variable_that_is_no_truth_value_is_refused(tmp_path: Path) -> None:
    """FLYTEFORM_INSECURE takes true and false only."""
    with pytest.raises(ConfigurationError, match="FLYTEFORM_INSECURE"):
        resolve(ConnectionOptions(endpoint="a:1"), {"FLYTEFORM_INSECURE": "maybe"}, tmp_path)
