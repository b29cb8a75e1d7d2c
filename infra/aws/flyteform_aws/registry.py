"""Registries for the platform's images and for those of tasks: a tag is never moved, every image is scanned."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pulumi_aws import ecr

if TYPE_CHECKING:
    from flyteform_aws.context import Context
    from flyteform_aws.keys import Keys

_NAMES = ("controlplane", "dataplane", "tasks")
_UNTAGGED_DAYS = 14
_PREFIX = 20
# Public registries that ask for no login.
PUBLIC = {"quay": "quay.io", "k8s": "registry.k8s.io", "aws": "public.ecr.aws"}


def make_registries(context: Context, keys: Keys) -> None:
    """Make them, and rules that keep a copy of public images which the cluster pulls."""
    for name in _NAMES:
        made = ecr.Repository(
            name,
            name=f"{context.config.name}/{name}",
            image_tag_mutability="IMMUTABLE",
            force_delete=context.config.is_throwaway or None,
            image_scanning_configuration=ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
            encryption_configurations=[
                ecr.RepositoryEncryptionConfigurationArgs(encryption_type="KMS", kms_key=keys.data.arn)
            ],
            opts=context.options(protect=context.config.is_production),
        )
        ecr.LifecyclePolicy(name, repository=made.name, policy=_cleared(), opts=context.options())
    for name, upstream in PUBLIC.items():
        ecr.PullThroughCacheRule(
            name,
            ecr_repository_prefix=cache_prefix(context, name),
            upstream_registry_url=upstream,
            opts=context.options(),
        )


def cache_prefix(context: Context, name: str) -> str:
    """Return what names of copies begin with; AWS allows 30 characters."""
    return f"{context.config.name[:_PREFIX].rstrip('-')}/{name}"


def _cleared() -> str:
    untagged = {
        "rulePriority": 1,
        "description": "Images that nothing names any more",
        "selection": {
            "tagStatus": "untagged",
            "countType": "sinceImagePushed",
            "countUnit": "days",
            "countNumber": _UNTAGGED_DAYS,
        },
        "action": {"type": "expire"},
    }
    return json.dumps({"rules": [untagged]}, sort_keys=True)
