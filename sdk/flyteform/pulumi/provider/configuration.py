"""The provider's configuration: which platform, and where resources go that name no place."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyteform.client.config import DEFAULT_DOMAIN, DEFAULT_PROJECT, ConnectionOptions, resolve
from flyteform.client.login import ClientSecretLogin
from flyteform.pulumi.kinds import CONFIGURATION, Shape
from flyteform.pulumi.provider.values import has_unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform.client.config import ClientConfig

# Where the login reads the secret: this process's own environment, so that it is in no file and no argument.
_SECRET_VARIABLE = "FLYTEFORM_PROVIDER_CLIENT_SECRET"  # noqa: S105 - a variable's name
_FLAGS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the program configured. Parts are unknown while the platform is yet to be created."""

    values: Mapping[str, Any]

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The place of resources that name none."""
        return {
            "project": self.values.get("project") or os.environ.get("FLYTEFORM_PROJECT") or DEFAULT_PROJECT,
            "domain": self.values.get("domain") or os.environ.get("FLYTEFORM_DOMAIN") or DEFAULT_DOMAIN,
        }

    @property
    def is_known(self) -> bool:
        """Whether the platform can be spoken to."""
        needed = ("endpoint", "insecure", "caFile", "clientId", "clientSecret")
        return not any(has_unknown(self.values.get(name)) for name in needed)

    def connection(self) -> ClientConfig:
        """Return how to reach the platform; `ConfigurationError` if none is named anywhere."""
        options = ConnectionOptions(self.values.get("endpoint"), self.values.get("insecure"))
        config = resolve(options)
        if ca_file := self.values.get("caFile"):
            config = replace(config, ca_file=Path(ca_file).expanduser())
        if client := self.values.get("clientId"):
            os.environ[_SECRET_VARIABLE] = self.values.get("clientSecret") or ""
            config = replace(config, login=ClientSecretLogin(client, secret_variable=_SECRET_VARIABLE))
        return config


def readable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the texts of flags into flags, and leave what is not ours (`version`, what tools add) out."""
    known = {each.name: each for each in CONFIGURATION}
    flags = {name for name, each in known.items() if each.shape is Shape.FLAG}
    found = {name: value for name, value in values.items() if name in known and value is not None}
    return {
        name: _FLAGS.get(value, value) if name in flags and isinstance(value, str) else value
        for name, value in found.items()
    }
