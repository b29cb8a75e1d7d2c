"""How a user's configuration says that we log in; the secrets themselves are read only when they are used."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flyteform.client.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_CLIENT_SECRET = frozenset({"clientsecret", "basic", "client_credentials"})  # as Flyte's clients name it
_COMMAND = frozenset({"externalcommand", "external_process"})
_BY_BROWSER = frozenset({"pkce", "standard", "deviceflow"})


@dataclass(frozen=True, slots=True)
class ClientSecretLogin:
    """A client id and where its secret is: in a file, or in an environment variable, which goes first."""

    client_id: str
    secret_file: Path | None = None
    secret_variable: str = ""
    scopes: tuple[str, ...] = ()
    audience: str = ""


@dataclass(frozen=True, slots=True)
class CommandLogin:
    """A command that prints a token."""

    command: tuple[str, ...]


Login = ClientSecretLogin | CommandLogin


def login_of(admin: Mapping[str, object], source: str) -> Login | None:
    """Read how the `admin` section of Flyte's configuration logs in; None without, or where a browser would be needed.

    `ConfigurationError` names what is missing or unknown.
    """
    kind = str(admin.get("authType") or "").lower()
    if kind in _CLIENT_SECRET:
        return _client_secret(admin, source)
    if kind in _COMMAND:
        return CommandLogin(
            command_of(admin, "command") or command_of(admin, "proxyCommand") or _missing("command", source)
        )
    if kind and kind not in _BY_BROWSER:
        raise ConfigurationError(
            f"admin.authType {admin['authType']!r} in {source} is unknown", remedy="use ClientSecret or ExternalCommand"
        )
    return None


def command_of(admin: Mapping[str, object], name: str) -> tuple[str, ...]:
    """Return a command, given as a list or as one text; () if there is none."""
    value = admin.get(name)
    return tuple(shlex.split(value)) if isinstance(value, str) else _texts(value)


def _client_secret(admin: Mapping[str, object], source: str) -> ClientSecretLogin:
    location, variable = admin.get("clientSecretLocation"), str(admin.get("clientSecretEnvVar") or "")
    client_id = str(admin.get("clientId") or "")
    if not client_id:
        _missing("clientId", source)
    if not location and not variable:
        _missing("clientSecretLocation", source)
    scopes = admin.get("scopes")
    return ClientSecretLogin(
        client_id,
        Path(str(location)).expanduser() if location else None,
        variable,
        tuple(scopes.replace(",", " ").split()) if isinstance(scopes, str) else _texts(scopes),
        str(admin.get("audience") or ""),
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(part) for part in value) if isinstance(value, list) else ()


def _missing(name: str, source: str) -> tuple[str, ...]:
    raise ConfigurationError(
        f"admin.{name} is missing in {source}", remedy=f"write it beside admin.authType in {source}"
    )
