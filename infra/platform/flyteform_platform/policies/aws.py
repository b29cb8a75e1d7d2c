"""Rules for AWS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from flyteform_platform.policies.resource import expect

if TYPE_CHECKING:
    from flyteform_platform.policies.resource import Problems, Resource

_ANYONE: Final = ("0.0.0.0/0", "::/0")


def _public_access(resource: Resource) -> Problems:
    yield from expect(
        resource, blockPublicAcls=True, blockPublicPolicy=True, ignorePublicAcls=True, restrictPublicBuckets=True
    )


def _database(resource: Resource) -> Problems:
    yield from expect(resource, storageEncrypted=True)
    if resource.inputs.get("publiclyAccessible"):
        yield "publiclyAccessible is true"
    if resource.is_production:
        yield from expect(resource, deletionProtection=True, skipFinalSnapshot=False)
        # A cluster of instances has its copies by itself.
        if resource.type.endswith("rds/instance:Instance") and not resource.inputs.get("clusterIdentifier"):
            yield from expect(resource, multiAz=True)


def _cluster(resource: Resource) -> Problems:
    config = resource.at("vpcConfig") or {}
    sources = config.get("publicAccessCidrs") or _ANYONE
    if config.get("endpointPublicAccess", True) and set(sources) & set(_ANYONE):
        yield "everybody reaches the API server: turn endpointPublicAccess off or name publicAccessCidrs"
    if not resource.at("encryptionConfig"):
        yield "Secrets are not encrypted with a key of yours"


def _policy(resource: Resource) -> Problems:
    text = resource.inputs.get("policy") or resource.inputs.get("document")
    if not isinstance(text, str) or not text.startswith("{"):
        return
    for statement in _listed(json.loads(text).get("Statement")):
        if statement.get("Effect") != "Allow":
            continue
        for action in _listed(statement.get("Action")):
            if action == "*" or action.endswith(":*"):
                yield f"it allows {action}"
        if "*" in _listed(statement.get("Principal")) and not statement.get("Condition"):
            yield "everybody is its principal"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _ingress(resource: Resource) -> Problems:
    if resource.inputs.get("cidrIpv4") in _ANYONE and resource.inputs.get("fromPort") not in (80, 443):
        yield f"everybody reaches port {resource.inputs.get('fromPort')}"


def _metadata(resource: Resource) -> Problems:
    yield from expect(resource, metadataOptions__httpTokens="required", metadataOptions__httpPutResponseHopLimit=1)


def _rotation(resource: Resource) -> Problems:
    yield from expect(resource, enableKeyRotation=True)


def _repository(resource: Resource) -> Problems:
    yield from expect(resource, imageTagMutability="IMMUTABLE")


RULES: Final = {
    "aws-buckets-closed": (
        "No bucket is public by mistake.",
        ("s3/bucketPublicAccessBlock:BucketPublicAccessBlock",),
        _public_access,
    ),
    "aws-databases": (
        "Databases are encrypted, inside, and hard to lose.",
        ("rds/instance:Instance", "rds/cluster:Cluster"),
        _database,
    ),
    "aws-clusters": ("Not everybody reaches the API server.", ("eks/cluster:Cluster",), _cluster),
    "aws-policies": ("Nobody may do everything.", ("iam/policy:Policy", "iam/rolePolicy:RolePolicy"), _policy),
    "aws-ingress": ("Only the door is open.", ("vpc/securityGroupIngressRule:SecurityGroupIngressRule",), _ingress),
    "aws-metadata": ("Pods get no identity from their node.", ("ec2/launchTemplate:LaunchTemplate",), _metadata),
    "aws-images": ("A tag names one image for ever.", ("ecr/repository:Repository",), _repository),
    "aws-keys-rotate": ("Keys are renewed.", ("kms/key:Key",), _rotation),
}
