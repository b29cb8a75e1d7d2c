"""Buckets: metadata of the control plane and raw data of tasks, with a folder for each domain of a project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_gcp import storage

if TYPE_CHECKING:
    from flyteform_gcp.context import Context
    from flyteform_gcp.keys import Keys

_DAY = 86400


@dataclass(frozen=True, slots=True)
class Buckets:
    """The buckets that the platform writes to."""

    metadata: storage.Bucket
    raw: storage.Bucket


def make_buckets(context: Context, keys: Keys) -> Buckets:
    """Make the buckets: private, encrypted, versioned, and cleared of what is no longer wanted."""
    settings = context.config.storage
    raw = []
    if settings.raw_expiry_days:
        raw.append(_rule("Delete", age=settings.raw_expiry_days, prefix="raw/"))
    tiering = storage.BucketAutoclassArgs(enabled=True) if settings.raw_tiering_days else None
    return Buckets(
        _bucket(context, "metadata", keys, []),
        _bucket(context, "raw", keys, raw, tiering),
    )


def _bucket(
    context: Context,
    name: str,
    keys: Keys,
    rules: list[storage.BucketLifecycleRuleArgs],
    tiering: storage.BucketAutoclassArgs | None = None,
) -> storage.Bucket:
    settings = context.config.storage
    return storage.Bucket(
        name,
        # Names of buckets are the whole world's: the project's makes them ours.
        name=f"{context.config.gcp.project}-{context.name(name)}",
        location=context.config.gcp.region.upper(),
        uniform_bucket_level_access=True,
        public_access_prevention="enforced",
        force_destroy=context.config.is_throwaway,
        versioning=storage.BucketVersioningArgs(enabled=settings.versioning),
        soft_delete_policy=storage.BucketSoftDeletePolicyArgs(
            retention_duration_seconds=(30 if context.config.is_production else 7) * _DAY
        ),
        encryption=storage.BucketEncryptionArgs(default_kms_key_name=keys.storage.id),
        lifecycle_rules=[
            _rule("AbortIncompleteMultipartUpload", age=3),
            _rule("Delete", noncurrent=settings.noncurrent_days),
            *rules,
        ],
        autoclass=tiering,
        opts=context.options(protect=settings.deletion_protection, after=keys.grants),
    )


def _rule(
    action: str, *, age: int | None = None, noncurrent: int | None = None, prefix: str = ""
) -> storage.BucketLifecycleRuleArgs:
    return storage.BucketLifecycleRuleArgs(
        action=storage.BucketLifecycleRuleActionArgs(type=action),
        condition=storage.BucketLifecycleRuleConditionArgs(
            age=age,
            days_since_noncurrent_time=noncurrent,
            matches_prefixes=[prefix] if prefix else None,
        ),
    )
