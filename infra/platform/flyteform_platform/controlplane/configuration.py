"""The control plane's own configuration file, from a stack's configuration and its foundation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

import pulumi
from flyteform_controlplane.configuration.sections import Root
from flyteform_platform.errors import ConfigError
from flyteform_platform.parts.documents import merged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform_platform.config import PlatformConfig
    from flyteform_platform.foundation import Foundation

_DOMAINS = ("development", "staging", "production")


def settings(config: PlatformConfig, foundation: Foundation) -> pulumi.Output[dict[str, Any]]:
    """Return the document; what the stack says itself (`controlplane.settings`) wins.

    `ConfigError` for a setting that the control plane does not know.
    """
    given = dict(config.control_plane.settings)
    _check(given)
    domains = dict.fromkeys([*_DOMAINS, *(domain for project in config.projects for domain in project.domains)])
    raw = pulumi.Output.from_input(foundation.raw.uri)
    own = {
        "domains": [{"id": domain, "name": domain} for domain in domains],
        "clusters": {"weights": {config.data_plane.name: config.data_plane.weight}},
    }
    return raw.apply(lambda uri: merged({**own, "flyteadmin": {"outputLocationPrefix": uri}}, given))


def _check(given: Mapping[str, Any]) -> None:
    try:
        Root.model_validate(given)
    except ValidationError as error:
        problems = [
            f"platform.controlplane.settings.{'.'.join(map(str, each['loc']))}: {each['msg']}"
            for each in error.errors(include_url=False, include_input=False)
        ]
        raise ConfigError("\n".join(problems)) from None
