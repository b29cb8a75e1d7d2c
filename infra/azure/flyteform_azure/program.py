"""The program of a stack on Azure: what its roles ask for, made here or taken from the stacks that it names."""

from __future__ import annotations

import pulumi
from flyteform_azure.config import AzureConfig
from flyteform_azure.edge import make_issuer
from flyteform_azure.foundation import Base, make_base, skeleton
from flyteform_azure.secrets import secrets_of
from flyteform_platform.clouds.secrets import secret_store
from flyteform_platform.config import Role, read_config
from flyteform_platform.platform import install
from flyteform_platform.references import export, imported


def deploy() -> None:
    """Make the stack."""
    config = read_config(AzureConfig)
    base = _base(config)
    if not any(config.has(role) for role in (Role.PLATFORM, Role.CONTROL_PLANE, Role.DATA_PLANE)):
        return
    platform = install(config, base.foundation, after=base.after)
    if platform.addons is not None and config.keeps_secrets:
        secret_store(config, secrets_of(config), platform.provider, platform.addons.made)
    if platform.addons is not None and config.issues_certificates:
        client = next(iter(base.foundation.identities.cert_manager.annotations.values()))
        make_issuer(config, client, platform.provider, platform.addons.made)


def _base(config: AzureConfig) -> Base:
    if config.has(Role.BASE):
        base = make_base(config)
        export(base.foundation)
        return base
    return Base(imported(pulumi.StackReference(config.stacks.base), skeleton(config)))
