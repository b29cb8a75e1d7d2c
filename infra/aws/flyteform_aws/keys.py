"""Keys that encrypt: one for data, one for the cluster's secrets, both rotated each year."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_aws import kms

if TYPE_CHECKING:
    from flyteform_aws.context import Context


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys by what they encrypt: `data` buckets, databases and backups; `cluster` Kubernetes' secrets."""

    data: kms.Key
    cluster: kms.Key


def make_keys(context: Context) -> Keys:
    """Make the keys. What is encrypted by a deleted key is lost, so they are protected where data matters."""
    return Keys(
        _key(context, "data", "Buckets, databases, registries"), _key(context, "cluster", "Kubernetes' secrets")
    )


def _key(context: Context, name: str, what: str) -> kms.Key:
    key = kms.Key(
        name,
        description=f"{context.config.name}: {what}",
        enable_key_rotation=True,
        deletion_window_in_days=30 if context.config.is_production else 7,
        opts=context.options(protect=context.config.storage.deletion_protection),
    )
    kms.Alias(name, name=f"alias/{context.name(name)}", target_key_id=key.key_id, opts=context.options())
    return key
