"""Buckets: metadata of the control plane, raw data of tasks, and the access logs of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pulumi_aws import s3

from flyteform_aws import documents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteform_aws.context import Context
    from flyteform_aws.keys import Keys

_ABORT_DAYS = 3


@dataclass(frozen=True, slots=True)
class Buckets:
    """The buckets that the platform writes to."""

    metadata: s3.Bucket
    raw: s3.Bucket


def make_buckets(context: Context, keys: Keys) -> Buckets:
    """Make the buckets: private, encrypted, versioned, logged, and cleared of what is no longer wanted."""
    storage = context.config.storage
    logs = _bucket(context, "logs", documents_of=lambda arn: documents.access_logs(arn, context.config.aws.account))
    # S3 writes access logs with its own key only.
    _encrypt(context, "logs", logs, None)
    _lifecycle(context, "logs", logs, [_expire(context.config.aws.log_days)])
    made = []
    for name, rules in (("metadata", []), ("raw", _raw_rules(storage.raw_expiry_days, storage.raw_tiering_days))):
        bucket = _bucket(context, name, documents_of=documents.only_encrypted)
        _encrypt(context, name, bucket, keys)
        _version(context, name, bucket)
        _lifecycle(context, name, bucket, rules)
        s3.BucketLogging(
            name, bucket=bucket.id, target_bucket=logs.id, target_prefix=f"{name}/", opts=context.options()
        )
        made.append(bucket)
    return Buckets(*made)


def _bucket(context: Context, name: str, *, documents_of: Any) -> s3.Bucket:
    protect = context.config.storage.deletion_protection and name != "logs"
    bucket = s3.Bucket(
        name,
        # Names of buckets are the whole world's: the account's number makes them ours.
        bucket=context.name(name, context.config.aws.account),
        force_destroy=context.config.is_throwaway,
        opts=context.options(protect=protect),
    )
    private = s3.BucketPublicAccessBlock(
        name,
        bucket=bucket.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=context.options(),
    )
    s3.BucketOwnershipControls(
        name,
        bucket=bucket.id,
        rule=s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
        opts=context.options(),
    )
    s3.BucketPolicy(
        name,
        bucket=bucket.id,
        policy=bucket.arn.apply(lambda arn: documents.text(documents_of(arn))),
        opts=context.options(after=[private]),
    )
    return bucket


def _encrypt(context: Context, name: str, bucket: s3.Bucket, keys: Keys | None) -> None:
    by = s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
        sse_algorithm="AES256" if keys is None else "aws:kms",
        kms_master_key_id=None if keys is None else keys.data.arn,
    )
    s3.BucketServerSideEncryptionConfiguration(
        name,
        bucket=bucket.id,
        rules=[
            s3.BucketServerSideEncryptionConfigurationRuleArgs(
                apply_server_side_encryption_by_default=by, bucket_key_enabled=keys is not None
            )
        ],
        opts=context.options(),
    )


def _version(context: Context, name: str, bucket: s3.Bucket) -> None:
    status = "Enabled" if context.config.storage.versioning else "Suspended"
    s3.BucketVersioning(
        name,
        bucket=bucket.id,
        versioning_configuration=s3.BucketVersioningVersioningConfigurationArgs(status=status),
        opts=context.options(),
    )


def _lifecycle(
    context: Context, name: str, bucket: s3.Bucket, rules: Sequence[s3.BucketLifecycleConfigurationRuleArgs]
) -> None:
    everything = s3.BucketLifecycleConfigurationRuleFilterArgs(prefix="")
    remains = s3.BucketLifecycleConfigurationRuleArgs(
        id="remains",
        status="Enabled",
        filter=everything,
        abort_incomplete_multipart_upload=s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
            days_after_initiation=_ABORT_DAYS
        ),
        noncurrent_version_expiration=s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
            noncurrent_days=context.config.storage.noncurrent_days
        ),
    )
    s3.BucketLifecycleConfiguration(name, bucket=bucket.id, rules=[remains, *rules], opts=context.options())


def _raw_rules(expiry_days: int, tiering_days: int) -> list[s3.BucketLifecycleConfigurationRuleArgs]:
    rules = []
    if tiering_days:
        rules.append(
            s3.BucketLifecycleConfigurationRuleArgs(
                id="tiering",
                status="Enabled",
                filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix="raw/"),
                transitions=[
                    s3.BucketLifecycleConfigurationRuleTransitionArgs(
                        days=tiering_days, storage_class="INTELLIGENT_TIERING"
                    )
                ],
            )
        )
    if expiry_days:
        rules.append(_expire(expiry_days, prefix="raw/"))
    return rules


def _expire(days: int, *, prefix: str = "") -> s3.BucketLifecycleConfigurationRuleArgs:
    return s3.BucketLifecycleConfigurationRuleArgs(
        id="expiry",
        status="Enabled",
        filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=prefix),
        expiration=s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
    )
