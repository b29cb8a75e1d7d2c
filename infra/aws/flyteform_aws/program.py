"""The program of a stack on AWS: what its roles ask for, made here or taken from the stacks that it names."""

from __future__ import annotations

import pulumi
from flyteform_aws.config import AwsConfig
from flyteform_aws.foundation import Base, make_base, skeleton
from flyteform_aws.services import install_services, publish_names, secrets_of
from flyteform_platform.clouds.secrets import secret_store
from flyteform_platform.config import Role, read_config
from flyteform_platform.parts.cluster import cluster_provider
from flyteform_platform.platform import install
from flyteform_platform.references import export, imported, required

_VPC = "vpc"


def deploy() -> None:
    """Make the stack."""
    config = read_config(AwsConfig)
    base = _base(config)
    if not any(config.has(role) for role in (Role.PLATFORM, Role.CONTROL_PLANE, Role.DATA_PLANE)):
        return
    provider = cluster_provider(
        config.name, base.foundation.cluster, pulumi.ResourceOptions(depends_on=list(base.after))
    )
    after = list(base.after)
    if config.has(Role.PLATFORM):
        after += install_services(config, base.vpc, provider)
    platform = install(config, base.foundation, provider=provider, after=after)
    if platform.addons is not None:
        publish_names(config, provider, platform.addons.made)
        if config.addons.has_secrets:
            secret_store(config, secrets_of(config), provider, platform.addons.made)


def _base(config: AwsConfig) -> Base:
    if config.has(Role.BASE):
        base = make_base(config)
        export(base.foundation)
        pulumi.export(_VPC, base.vpc)
        return base
    reference = pulumi.StackReference(config.stacks.base)
    return Base(imported(reference, skeleton(config)), required(reference, _VPC))
