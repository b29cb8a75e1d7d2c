"""The configuration of a stack: one nested key, `platform`, in `stacks/<cloud>/Pulumi.<stack>.yaml`."""

from flyteform_platform.config.common import (
    Addon,
    Addons,
    ControlPlane,
    DatabaseSizes,
    DataPlane,
    EdgeSettings,
    Limits,
    Network,
    NodePool,
    PlatformConfig,
    Preset,
    Project,
    Role,
    Section,
    StackNames,
    Storage,
)
from flyteform_platform.config.reading import read_config, secret

__all__ = [
    "Addon",
    "Addons",
    "ControlPlane",
    "DataPlane",
    "DatabaseSizes",
    "EdgeSettings",
    "Limits",
    "Network",
    "NodePool",
    "PlatformConfig",
    "Preset",
    "Project",
    "Role",
    "Section",
    "StackNames",
    "Storage",
    "read_config",
    "secret",
]
