"""Find the platform to talk to: flags, then environment, then Flyte's own configuration, then a local platform."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flyteform.client.errors import ConfigurationError
from flyteform.client.login import ClientSecretLogin, command_of, login_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform.client.login import Login

DEFAULT_PROJECT = "flytesnacks"
DEFAULT_DOMAIN = "development"
_LOOPBACK = ("localhost", "127.", "[::1]")
_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """What the caller said on the command line; None where nothing was said."""

    endpoint: str | None = None
    insecure: bool | None = None
    project: str | None = None
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """Where the platform is and in whose name we speak.

    `endpoint` is `host:port`; `source` names the place it was read from, for messages; `http` is the address of
    the platform's REST API and console where that is known. `login` is of the same source as the endpoint, so that a
    secret goes to no other platform; `proxy_command` prints a token for a proxy in front of it.
    """

    endpoint: str
    insecure: bool
    project: str = DEFAULT_PROJECT
    domain: str = DEFAULT_DOMAIN
    source: str = "given"
    http: str | None = None
    ca_file: Path | None = None
    skip_verify: bool = False
    login: Login | None = None
    proxy_command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    """An endpoint and what its own source says about reaching it."""

    endpoint: str
    source: str
    insecure: bool | None = None
    http: str | None = None
    ca_file: Path | None = None
    skip_verify: bool = False
    login: Login | None = None
    proxy_command: tuple[str, ...] = ()


def resolve(
    options: ConnectionOptions | None = None,
    environ: Mapping[str, str] | None = None,
    home: Path | None = None,
) -> ClientConfig:
    """Return the settings of one platform; `ConfigurationError` if there is none or a source cannot be read."""
    options = options or ConnectionOptions()
    environ = os.environ if environ is None else environ
    home = home or Path.home()
    found = _from_options(options, environ) or _from_flyte_config(environ, home) or _from_local_platform(environ, home)
    if found is None:
        raise ConfigurationError(
            "no platform to talk to",
            remedy="give --endpoint HOST:PORT (or FLYTEFORM_ENDPOINT), write admin.endpoint in ~/.flyte/config.yaml, "
            "or start one on this machine with: flyteform dev",
        )
    address, by_scheme = _address(found)
    chosen = (options.insecure, _flag(environ, "FLYTEFORM_INSECURE"), found.insecure, by_scheme, _is_loopback(address))
    return ClientConfig(
        endpoint=address,
        insecure=next(value for value in chosen if value is not None),
        project=options.project or environ.get("FLYTEFORM_PROJECT") or DEFAULT_PROJECT,
        domain=options.domain or environ.get("FLYTEFORM_DOMAIN") or DEFAULT_DOMAIN,
        source=found.source,
        http=found.http,
        ca_file=found.ca_file,
        skip_verify=found.skip_verify,
        login=found.login,
        proxy_command=found.proxy_command,
    )


def default_state_dir(environ: Mapping[str, str], home: Path) -> Path:
    """Return the directory in which a local platform keeps its data by default."""
    base = environ.get("XDG_STATE_HOME")
    return (Path(base) if base else home / ".local" / "state") / "flyteform"


def _from_options(options: ConnectionOptions, environ: Mapping[str, str]) -> _Found | None:
    if options.endpoint:
        return _Found(options.endpoint, "--endpoint")
    if endpoint := environ.get("FLYTEFORM_ENDPOINT"):
        return _Found(endpoint, "FLYTEFORM_ENDPOINT")
    return None


def _from_flyte_config(environ: Mapping[str, str], home: Path) -> _Found | None:
    """Read `admin` of flytectl's configuration file; a file named by FLYTECTL_CONFIG has to exist."""
    named = environ.get("FLYTECTL_CONFIG")
    path = Path(named) if named else home / ".flyte" / "config.yaml"
    if not named and not path.is_file():
        return None
    admin = _read_yaml_section(path, "admin")
    endpoint = admin.get("endpoint")
    if not isinstance(endpoint, str) or not endpoint:
        return None
    ca_file = admin.get("caCertFilePath")
    return _Found(
        endpoint,
        str(path),
        insecure=bool(admin.get("insecure", False)),
        ca_file=Path(str(ca_file)).expanduser() if ca_file else None,
        skip_verify=bool(admin.get("insecureSkipVerify", False)),
        login=login_of(admin, str(path)),
        proxy_command=command_of(admin, "proxyCommand"),
    )


def _read_yaml_section(path: Path, section: str) -> Mapping[str, object]:
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(
            f"cannot read {path}: {reason}", remedy="correct the file, or give --endpoint"
        ) from error
    content = document.get(section) if isinstance(document, dict) else None
    return content if isinstance(content, dict) else {}


def _from_local_platform(environ: Mapping[str, str], home: Path) -> _Found | None:
    """Read what a running local platform wrote about itself; what a dead one left behind does not count."""
    path = default_state_dir(environ, home) / "platform.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        endpoint, http, pid = str(document["grpc"]), str(document["http"]), int(document["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    client, secret = document.get("client_id"), document.get("client_secret_file")
    login = ClientSecretLogin(str(client), Path(str(secret))) if client and secret else None
    return _Found(endpoint, "the local platform", insecure=True, http=http, login=login) if _is_alive(pid) else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _address(found: _Found) -> tuple[str, bool | None]:
    """Split the scheme off: (`host:port`, whether the scheme says plain text, or None if it does not say)."""
    text, insecure = found.endpoint.strip(), None
    for scheme, plain in (("dns:///", None), ("http://", True), ("https://", False)):
        if text.startswith(scheme):
            text, insecure = text.removeprefix(scheme), plain
    text = text.rstrip("/")
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, "80" if insecure else "443"
    if not host or "/" in host or not port.isdigit():
        raise ConfigurationError(
            f"endpoint {found.endpoint!r} from {found.source} is not HOST:PORT",
            remedy="write for example 127.0.0.1:8089 or dns:///flyte.example.org",
        )
    return f"{host}:{port}", insecure


def _is_loopback(address: str) -> bool:
    return address.startswith(_LOOPBACK)


def _flag(environ: Mapping[str, str], name: str) -> bool | None:
    text = environ.get(name, "").strip().lower()
    if not text:
        return None
    if text in _TRUE | _FALSE:
        return text in _TRUE
    raise ConfigurationError(f"{name}={text!r} is neither true nor false", remedy=f"set {name} to true or false")
