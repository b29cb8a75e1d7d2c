"""The program: look at the cluster, say what it lacks, then install the platform on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta import v1 as meta

import pulumi
from flyteform_onprem.config import OnPremConfig
from flyteform_onprem.databases import make_cluster
from flyteform_onprem.facts import cluster_facts
from flyteform_onprem.foundation import foundation
from flyteform_onprem.objects import inside_buckets
from flyteform_onprem.preflight import require
from flyteform_onprem.rook import make_ceph
from flyteform_onprem.seaweedfs import make_store
from flyteform_platform.config import Role, read_config, secret
from flyteform_platform.errors import ConfigError
from flyteform_platform.parts.cluster import cluster_provider
from flyteform_platform.platform import Platform, install

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pulumi_kubernetes as kubernetes

_METALLB = "metallb-system"


def deploy() -> Platform:
    """Deploy what the stack's configuration says; return it, for programs that declare more on it."""
    config = read_config(OnPremConfig)
    text, kubeconfig = _kubeconfig(config)
    facts = cluster_facts(text, config.onprem.context)
    require(config, facts)
    given = foundation(config, facts, kubeconfig)
    provider = cluster_provider(config.name, given.cluster)
    after: list[pulumi.Resource] = []
    seaweedfs = config.onprem.s3.seaweedfs
    if seaweedfs and config.has(Role.BASE):
        after.append(make_store(config, seaweedfs, inside_buckets(config), provider))
    rook = config.onprem.s3.rook
    installed = install(
        config,
        given,
        provider=provider,
        after=after,
        extend=(lambda made: make_ceph(config, rook, inside_buckets(config), provider, made)) if rook else None,
        prepare=lambda opts: _prepare(config, opts),
    )
    if installed.addons and config.onprem.metallb:
        _addresses(config.onprem.metallb.addresses, provider, installed.addons.made)
    return installed


def _kubeconfig(config: OnPremConfig) -> tuple[str, pulumi.Input[str]]:
    """Return the text, for now and as a secret output."""
    if config.onprem.kubeconfig:
        try:
            text = Path(config.onprem.kubeconfig).expanduser().read_text()
        except OSError as error:
            raise ConfigError(f"platform.onprem.kubeconfig: {error.filename}: {error.strerror}") from error
        return text, pulumi.Output.secret(text)
    kubeconfig = secret("kubeconfig")
    return str(pulumi.runtime.get_config(f"{pulumi.get_project()}:kubeconfig")), kubeconfig


def _prepare(config: OnPremConfig, opts: pulumi.ResourceOptions) -> Sequence[pulumi.Resource]:
    postgres = config.onprem.postgres.cluster
    return [make_cluster(config, postgres, opts)] if postgres else []


def _addresses(addresses: tuple[str, ...], provider: kubernetes.Provider, after: Sequence[pulumi.Resource]) -> None:
    opts = pulumi.ResourceOptions(provider=provider, depends_on=list(after))
    about = meta.ObjectMetaArgs(name="flyteform", namespace=_METALLB)
    pool = {"addresses": list(addresses)}
    for kind, spec in (("IPAddressPool", pool), ("L2Advertisement", {"ipAddressPools": ["flyteform"]})):
        CustomResource(
            f"flyteform-{kind.lower()}",
            api_version="metallb.io/v1beta1",
            kind=kind,
            metadata=about,
            spec=spec,
            opts=opts,
        )
