"""The policy pack: every shipped stack passes, and every rule catches what it is for."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from pulumi_policy import ResourceValidationArgs

from flyteform_platform.policies import RULES, Resource
from flyteform_platform.policies.pack import policies
from support.recording.stacks import clouds, shipped

if TYPE_CHECKING:
    from support.recording.stacks import Recordings

CLOUDS = clouds()
STACKS = [(cloud, stack) for cloud in CLOUDS for stack in shipped(cloud)]

_CONTAINER: dict[str, Any] = {
    "name": "a",
    "image": "a:1",
    "resources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": "1"}},
    "securityContext": {
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    },
}
_POD: dict[str, Any] = {"containers": [_CONTAINER], "automountServiceAccountToken": False}
_DEPLOYMENT: dict[str, Any] = {"spec": {"template": {"spec": _POD}}}
# What is right, by type; each row below breaks one of them in one place.
RIGHT: dict[str, dict[str, Any]] = {
    "kubernetes:apps/v1:Deployment": _DEPLOYMENT,
    "kubernetes:core/v1:Namespace": {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
    "kubernetes:core/v1:Service": {"spec": {"type": "ClusterIP"}},
    "kubernetes:rbac.authorization.k8s.io/v1:Role": {
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["a"]}]
    },
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": {
        "blockPublicAcls": True,
        "blockPublicPolicy": True,
        "ignorePublicAcls": True,
        "restrictPublicBuckets": True,
    },
    "aws:rds/instance:Instance": {
        "storageEncrypted": True,
        "publiclyAccessible": False,
        "deletionProtection": True,
        "skipFinalSnapshot": False,
        "multiAz": True,
    },
    "aws:eks/cluster:Cluster": {
        "vpcConfig": {"endpointPublicAccess": False},
        "encryptionConfig": {"resources": ["secrets"]},
    },
    "aws:iam/policy:Policy": {"policy": '{"Statement": [{"Effect": "Allow", "Action": ["s3:GetObject"]}]}'},
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": {"cidrIpv4": "0.0.0.0/0", "fromPort": 443},
    "aws:ec2/launchTemplate:LaunchTemplate": {
        "metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1}
    },
    "aws:ecr/repository:Repository": {"imageTagMutability": "IMMUTABLE"},
    "aws:kms/key:Key": {"enableKeyRotation": True},
    "aws:iam/accessKey:AccessKey": {},
    "gcp:storage/bucket:Bucket": {"uniformBucketLevelAccess": True, "publicAccessPrevention": "enforced"},
    "gcp:sql/databaseInstance:DatabaseInstance": {
        "deletionProtection": True,
        "settings": {
            "availabilityType": "REGIONAL",
            "deletionProtectionEnabled": True,
            "ipConfiguration": {"ipv4Enabled": False, "sslMode": "ENCRYPTED_ONLY"},
        },
    },
    "gcp:container/cluster:Cluster": {
        "privateClusterConfig": {"enablePrivateNodes": True},
        "controlPlaneEndpointsConfig": {"ipEndpointsConfig": {"enabled": False}},
        "workloadIdentityConfig": {"workloadPool": "a"},
    },
    "gcp:storage/bucketIAMMember:BucketIAMMember": {"member": "principal://a", "role": "roles/storage.objectUser"},
    "azure-native:storage:StorageAccount": {
        "allowBlobPublicAccess": False,
        "allowSharedKeyAccess": False,
        "minimumTlsVersion": "TLS1_2",
        "enableHttpsTrafficOnly": True,
        "publicNetworkAccess": "Disabled",
    },
    "azure-native:containerservice:ManagedCluster": {
        "disableLocalAccounts": True,
        "oidcIssuerProfile": {"enabled": True},
        "apiServerAccessProfile": {"enablePrivateCluster": True},
    },
    "azure-native:containerservice:AgentPool": {"enableNodePublicIP": False, "enableEncryptionAtHost": True},
    "azure-native:dbforpostgresql:Server": {
        "network": {"publicNetworkAccess": "Disabled"},
        "authConfig": {"passwordAuth": "Disabled"},
        "highAvailability": {"mode": "ZoneRedundant"},
    },
    "azure-native:containerregistry:Registry": {"adminUserEnabled": False},
    "azure-native:keyvault:Vault": {"properties": {"enableRbacAuthorization": True, "enablePurgeProtection": True}},
}
# The rule, a resource's type, and what is changed in it.
WRONG: list[tuple[str, str, str, Any]] = [
    ("pods-restricted", "Deployment", "spec.template.spec.containers.0.securityContext.readOnlyRootFilesystem", False),
    ("pods-restricted", "Deployment", "spec.template.spec.containers.0.securityContext.capabilities.drop", []),
    ("pods-restricted", "Deployment", "spec.template.spec.containers.0.securityContext.runAsNonRoot", False),
    ("pods-bounded", "Deployment", "spec.template.spec.containers.0.resources.limits", {}),
    ("pods-apart-from-nodes", "Deployment", "spec.template.spec.volumes", [{"name": "a", "hostPath": {"path": "/"}}]),
    ("pods-apart-from-nodes", "Deployment", "spec.template.spec.hostNetwork", True),
    ("images-pinned", "Deployment", "spec.template.spec.containers.0.image", "a:latest"),
    ("tokens-on-purpose", "Deployment", "spec.template.spec.automountServiceAccountToken", None),
    ("roles-minimal", "Role", "rules.0.verbs", ["*"]),
    ("roles-minimal", "Role", "rules.0.resourceNames", None),
    ("services-inside", "Service", "spec.type", "NodePort"),
    ("namespaces-enforce", "Namespace", "metadata.labels", {}),
    ("aws-buckets-closed", "BucketPublicAccessBlock", "blockPublicPolicy", False),
    ("aws-databases", "rds/instance:Instance", "publiclyAccessible", True),
    ("aws-databases", "rds/instance:Instance", "skipFinalSnapshot", True),
    ("aws-databases", "rds/instance:Instance", "multiAz", False),
    ("aws-clusters", "eks/cluster:Cluster", "vpcConfig.endpointPublicAccess", True),
    ("aws-policies", "iam/policy:Policy", "policy", '{"Statement": {"Effect": "Allow", "Action": "s3:*"}}'),
    ("aws-ingress", "SecurityGroupIngressRule", "fromPort", 22),
    ("aws-metadata", "LaunchTemplate", "metadataOptions.httpTokens", "optional"),
    ("aws-images", "ecr/repository:Repository", "imageTagMutability", "MUTABLE"),
    ("aws-keys-rotate", "kms/key:Key", "enableKeyRotation", False),
    ("no-static-keys", "AccessKey", "anything", True),
    ("gcp-buckets-closed", "gcp:storage/bucket:Bucket", "publicAccessPrevention", "inherited"),
    ("gcp-databases", "DatabaseInstance", "settings.ipConfiguration.ipv4Enabled", True),
    ("gcp-clusters", "gcp:container/cluster:Cluster", "privateClusterConfig.enablePrivateNodes", False),
    ("gcp-clusters", "gcp:container/cluster:Cluster", "controlPlaneEndpointsConfig.ipEndpointsConfig.enabled", True),
    ("gcp-members", "BucketIAMMember", "member", "allUsers"),
    ("azure-storage-closed", "StorageAccount", "allowSharedKeyAccess", True),
    ("azure-clusters", "ManagedCluster", "apiServerAccessProfile", {}),
    ("azure-nodes", "AgentPool", "enableEncryptionAtHost", None),
    ("azure-databases", "azure-native:dbforpostgresql:Server", "authConfig.passwordAuth", "Enabled"),
    ("azure-registries", "Registry", "adminUserEnabled", True),
    ("azure-vaults", "Vault", "properties.enablePurgeProtection", None),
]


def broken(resource: Resource) -> list[str]:
    """Return the names of the rules that a resource breaks."""
    return [rule.name for rule in RULES if rule.judge(resource)]


@pytest.mark.parametrize(("cloud", "stack"), STACKS)
def test_shipped_stacks(recordings: Recordings, cloud: str, stack: str) -> None:
    """No resource of a shipped stack breaks any rule."""
    found = [
        f"{each.short}: {rule.name}: {problem}"
        for each in recordings.shipped(cloud, stack).resources
        for rule in RULES
        for problem in rule.judge(Resource(each.type, each.name, each.inputs, protect=each.protect, stack=stack))
    ]
    assert found == []


@pytest.mark.parametrize("token", [each for each in RIGHT if "accessKey" not in each])
def test_right(token: str) -> None:
    """What is right breaks no rule, in production too."""
    assert broken(Resource(token, "a", RIGHT[token], protect=True, stack="prod-base")) == []


@pytest.mark.parametrize(("rule", "token", "path", "value"), WRONG, ids=[f"{row[0]}-{row[2]}" for row in WRONG])
def test_wrong(rule: str, token: str, path: str, value: object) -> None:
    """One wrong place is caught by its rule."""
    full = next(each for each in RIGHT if each.endswith(token))
    inputs = copy.deepcopy(RIGHT[full])
    place: Any = inputs
    *parts, last = path.split(".")
    for part in parts:
        place = place[int(part)] if part.isdigit() else place[part]
    place[last] = value
    assert rule in broken(Resource(full, "a", inputs, protect=True, stack="prod-base"))


def test_every_rule_is_tested() -> None:
    """Every rule has a row that breaks it."""
    assert {rule.name for rule in RULES} == {row[0] for row in WRONG} | {"data-is-protected"}


def test_protection() -> None:
    """Data of production has to be protected; that of other stacks need not be."""
    kind = "gcp:storage/bucket:Bucket"
    assert broken(Resource(kind, "a", RIGHT[kind], stack="prod-base")) == ["data-is-protected"]
    assert broken(Resource(kind, "a", RIGHT[kind], stack="dev")) == []


def test_pack() -> None:
    """As policies of Pulumi's they report the same, with the stack from the resource's URN."""
    bucket = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"

    class Options:
        protect = False

    told: list[str] = []
    urn = f"urn:pulumi:prod-base::flyteform-aws::{bucket}::a"
    args = ResourceValidationArgs(bucket, {"blockPublicAcls": True}, urn, "a", Options(), None, None)
    for policy in policies():
        policy.validate(args, lambda message, _: told.append(message))
    assert len(told) == 3
    assert all("has to be True" in each for each in told)
