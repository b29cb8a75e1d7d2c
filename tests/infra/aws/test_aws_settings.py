"""What production on AWS must have: each row is a resource and a setting, and this is where it is asserted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from support.recording.rules import at_least, contains, is_set
from support.recording.table import Row, holds

if TYPE_CHECKING:
    from support.recording.stacks import Recordings


def _denies_plain(text: str) -> bool:
    return any(
        each["Effect"] == "Deny" and each["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        for each in json.loads(text)["Statement"]
    )


def _rules(*ids: str) -> Any:
    def has_rules(rules: Any) -> bool:
        return {each["id"] for each in rules} >= set(ids)

    has_rules.__name__ = f"rules {ids}"
    return has_rules


_KMS = "rules[0].applyServerSideEncryptionByDefault.sseAlgorithm"
_PROXY = {
    "requireTls": True,
    "engineFamily": "POSTGRESQL",
    "auths[0].authScheme": "SECRETS",
    "auths[0].secretArn": is_set,
    "vpcSubnetIds": ["data-a-id", "data-b-id", "data-c-id"],
}
_INTERFACES = ("ecr-api", "ecr-dkr", "sts", "logs", "secretsmanager", "eks-auth")
ROWS = [
    Row("ec2/vpc:Vpc", "enableDnsHostnames"),
    Row("ec2/subnet:Subnet", "mapPublicIpOnLaunch", expected=False),
    *(Row("ec2/subnet:Subnet", "tags", contains("kubernetes.io/role/elb"), f"public-{zone}") for zone in "abc"),
    *(
        Row("ec2/subnet:Subnet", "tags", contains("kubernetes.io/role/internal-elb"), f"private-{zone}")
        for zone in "abc"
    ),
    *(Row("ec2/subnet:Subnet", "cidrBlock", is_set, f"data-{zone}") for zone in "abc"),
    *(Row("ec2/natGateway:NatGateway", "subnetId", is_set, f"nat-{zone}") for zone in "abc"),
    *(
        Row("ec2/routeTable:RouteTable", "routes[0].natGatewayId", f"nat-{zone}-id", f"private-{zone}")
        for zone in "abc"
    ),
    Row("ec2/routeTable:RouteTable", "routes", [], "data"),
    Row("ec2/internetGateway:InternetGateway", "vpcId", is_set),
    *(Row("ec2/eip:Eip", "domain", "vpc", f"nat-{zone}") for zone in "abc"),
    *(
        Row("ec2/routeTableAssociation:RouteTableAssociation", "subnetId", is_set, f"private-{zone}-private-{zone}")
        for zone in "abc"
    ),
    Row("ec2/securityGroup:SecurityGroup", "ingress", None),
    Row("ec2/securityGroup:SecurityGroup", "egress", None),
    Row(
        "vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        "referencedSecurityGroupId",
        "databases-id",
        "proxies-to-databases",
    ),
    Row(
        "vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        "referencedSecurityGroupId",
        "proxies-id",
        "databases-from-proxies",
    ),
    Row("ec2/vpcEndpoint:VpcEndpoint", "vpcEndpointType", "Gateway", "s3"),
    *(Row("ec2/vpcEndpoint:VpcEndpoint", "privateDnsEnabled", name=name) for name in _INTERFACES),
    Row("ec2/flowLog:FlowLog", "trafficType", "ALL"),
    Row("ec2/defaultSecurityGroup:DefaultSecurityGroup", "ingress", []),
    Row("ec2/defaultSecurityGroup:DefaultSecurityGroup", "egress", []),
    Row("vpc/securityGroupIngressRule:SecurityGroupIngressRule", "ipProtocol", "tcp"),
    Row("ec2/launchTemplate:LaunchTemplate", "metadataOptions.httpTokens", "required"),
    Row("ec2/launchTemplate:LaunchTemplate", "metadataOptions.httpPutResponseHopLimit", 1),
    Row("ec2/launchTemplate:LaunchTemplate", "blockDeviceMappings[0].ebs.encrypted", "true"),
    Row("ec2/launchTemplate:LaunchTemplate", "blockDeviceMappings[0].ebs.volumeType", "gp3"),
    Row("eks/cluster:Cluster", "accessConfig.authenticationMode", "API"),
    Row("eks/cluster:Cluster", "accessConfig.bootstrapClusterCreatorAdminPermissions", expected=False),
    Row("eks/cluster:Cluster", "vpcConfig.endpointPrivateAccess"),
    Row("eks/cluster:Cluster", "vpcConfig.endpointPublicAccess", expected=False),
    Row("eks/cluster:Cluster", "encryptionConfig.resources", ["secrets"]),
    Row("eks/cluster:Cluster", "encryptionConfig.provider.keyArn", is_set),
    Row("eks/cluster:Cluster", "enabledClusterLogTypes", lambda value: len(value) == 5),
    Row("eks/cluster:Cluster", "deletionProtection"),
    Row("eks/cluster:Cluster", "protect"),
    Row("eks/cluster:Cluster", "upgradePolicy.supportType", "STANDARD"),
    Row("eks/cluster:Cluster", "zonalShiftConfig.enabled"),
    Row("eks/cluster:Cluster", "bootstrapSelfManagedAddons", expected=False),
    Row("eks/nodeGroup:NodeGroup", "capacityType", "SPOT", "spot"),
    Row("eks/nodeGroup:NodeGroup", "instanceTypes", lambda value: len(value) >= 3, "spot"),
    Row("eks/nodeGroup:NodeGroup", "taints[0].key", "flyteform.org/spot", "spot"),
    Row("eks/nodeGroup:NodeGroup", "taints[0].key", "nvidia.com/gpu", "gpu"),
    Row("eks/nodeGroup:NodeGroup", "amiType", "AL2023_x86_64_NVIDIA", "gpu"),
    Row("eks/nodeGroup:NodeGroup", "nodeRepairConfig.enabled"),
    Row("eks/nodeGroup:NodeGroup", "updateConfig.maxUnavailablePercentage", 33),
    Row("eks/nodeGroup:NodeGroup", "ignoreChanges", ["scalingConfig.desiredSize"]),
    *(
        Row("eks/addon:Addon", "addonName", name, name)
        for name in ("coredns", "kube-proxy", "eks-pod-identity-agent", "metrics-server")
    ),
    Row("eks/addon:Addon", "configurationValues", contains("enableNetworkPolicy"), "vpc-cni"),
    Row("eks/addon:Addon", "podIdentityAssociations[0].roleArn", is_set, "aws-ebs-csi-driver"),
    Row("eks/accessEntry:AccessEntry", "principalArn", is_set),
    Row("eks/accessPolicyAssociation:AccessPolicyAssociation", "accessScope.type", "cluster"),
    Row("eks/podIdentityAssociation:PodIdentityAssociation", "namespace", "flyteform", "pods-controlplane"),
    Row("eks/podIdentityAssociation:PodIdentityAssociation", "namespace", "fraud-production", "pods-fraud-production"),
    Row("s3/bucketVersioning:BucketVersioning", "versioningConfiguration.status", "Enabled"),
    *(
        Row("s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration", key, value, name)
        for name in ("metadata", "raw")
        for key, value in ((_KMS, "aws:kms"), ("rules[0].bucketKeyEnabled", True))
    ),
    *(
        Row("s3/bucketPublicAccessBlock:BucketPublicAccessBlock", key)
        for key in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    ),
    Row("s3/bucketOwnershipControls:BucketOwnershipControls", "rule.objectOwnership", "BucketOwnerEnforced"),
    Row("s3/bucketPolicy:BucketPolicy", "policy", _denies_plain),
    Row("s3/bucketLogging:BucketLogging", "targetPrefix", is_set),
    Row("s3/bucket:Bucket", "protect", name="metadata"),
    Row("s3/bucket:Bucket", "protect", name="raw"),
    Row("s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", "rules", _rules("remains", "tiering"), "raw"),
    Row(
        "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "rules[0].abortIncompleteMultipartUpload.daysAfterInitiation",
        3,
    ),
    Row(
        "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "rules[0].noncurrentVersionExpiration.noncurrentDays",
        30,
        "metadata",
    ),
    *(
        Row("rds/instance:Instance", key, value)
        for key, value in {
            "engine": "postgres",
            "multiAz": True,
            "storageEncrypted": True,
            "kmsKeyId": is_set,
            "iamDatabaseAuthenticationEnabled": True,
            "manageMasterUserPassword": True,
            "deletionProtection": True,
            "protect": True,
            "skipFinalSnapshot": False,
            "backupRetentionPeriod": at_least(14),
            "copyTagsToSnapshot": True,
            "performanceInsightsEnabled": True,
            "caCertIdentifier": is_set,
            "publiclyAccessible": False,
        }.items()
    ),
    *(Row("rds/proxy:Proxy", key, value, name) for name in ("admin", "catalog") for key, value in _PROXY.items()),
    *(Row("rds/proxyTarget:ProxyTarget", "dbInstanceIdentifier", is_set, name) for name in ("admin", "catalog")),
    Row("rds/proxyDefaultTargetGroup:ProxyDefaultTargetGroup", "connectionPoolConfig.maxConnectionsPercent", 90),
    Row("rds/parameterGroup:ParameterGroup", "parameters[0].name", "rds.force_ssl"),
    Row("rds/parameterGroup:ParameterGroup", "parameters[0].value", "1"),
    Row("rds/subnetGroup:SubnetGroup", "subnetIds", ["data-a-id", "data-b-id", "data-c-id"]),
    Row("kms/key:Key", "enableKeyRotation"),
    Row("kms/key:Key", "protect"),
    Row("secretsmanager/secret:Secret", "name", contains("flyteform-prod/fraud/", "/scoring-api")),
    Row("secretsmanager/secret:Secret", "kmsKeyId", is_set),
    Row("secretsmanager/secret:Secret", "recoveryWindowInDays", 30),
    Row("secretsmanager/secret:Secret", "protect"),
    Row("acm/certificate:Certificate", "validationMethod", "DNS"),
    Row("acm/certificateValidation:CertificateValidation", "certificateArn", is_set),
    Row("route53/record:Record", "zoneId", "Z0123456789PRODUCTION"),
    Row("ecr/repository:Repository", "imageTagMutability", "IMMUTABLE"),
    Row("ecr/repository:Repository", "imageScanningConfiguration.scanOnPush"),
    Row("ecr/repository:Repository", "encryptionConfigurations[0].encryptionType", "KMS"),
    Row("ecr/lifecyclePolicy:LifecyclePolicy", "policy", contains("untagged")),
    *(
        Row("ecr/pullThroughCacheRule:PullThroughCacheRule", "upstreamRegistryUrl", upstream, name)
        for name, upstream in (("quay", "quay.io"), ("k8s", "registry.k8s.io"), ("aws", "public.ecr.aws"))
    ),
    Row("amp/workspace:Workspace", "kmsKeyArn", is_set),
    Row("amp/workspace:Workspace", "loggingConfiguration.logGroupArn", is_set),
    Row("amp/workspace:Workspace", "protect"),
    Row("grafana/workspace:Workspace", "authenticationProviders", ["AWS_SSO"]),
    Row("grafana/workspace:Workspace", "dataSources", ["PROMETHEUS", "CLOUDWATCH"]),
    Row("cloudwatch/logGroup:LogGroup", "retentionInDays", 365),
    Row("cloudwatch/metricAlarm:MetricAlarm", "alarmActions", is_set),
    Row("cloudwatch/metricAlarm:MetricAlarm", "treatMissingData", "breaching"),
    Row("backup/vault:Vault", "protect"),
    Row("backup/plan:Plan", "rules[0].lifecycle.deleteAfter", 35),
    Row("backup/vault:Vault", "kmsKeyArn", is_set),
    Row("budgets/budget:Budget", "limitAmount", "20000"),
    Row("servicequotas/serviceQuota:ServiceQuota", "quotaCode", "L-1216C47A", "on-demand-vcpus"),
    Row("servicequotas/serviceQuota:ServiceQuota", "quotaCode", "L-34B43A08", "spot-vcpus"),
    Row("servicequotas/serviceQuota:ServiceQuota", "quotaCode", "L-DB2E81BA", "gpu-vcpus"),
]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_settings(recordings: Recordings, row: Row) -> None:
    """Production has every setting that it needs."""
    holds(recordings.shipped("aws", "prod-base"), row)


def test_default_tags(recordings: Recordings) -> None:
    """Everything is tagged, and made in the one account that the configuration names."""
    provider = recordings.shipped("aws", "prod-base").one("pulumi:providers:aws")
    assert "444455556666" in str(provider.at("allowedAccountIds"))
    assert '"environment": "prod"' in str(provider.at("defaultTags"))


def test_two_databases(recordings: Recordings) -> None:
    """Admin and catalog have an instance each, and nobody's password is in the state."""
    graph = recordings.shipped("aws", "prod-base")
    assert {each.at("dbName") for each in graph.of("rds/instance:Instance")} == {"admin", "catalog"}
    assert all(each.at("password") is None for each in graph.of("rds/instance:Instance"))


def test_no_static_keys(recordings: Recordings) -> None:
    """There are neither users nor access keys; roles are taken by one service account of this cluster each."""
    graph = recordings.shipped("aws", "prod-base")
    assert not graph.of("iam/accessKey:AccessKey")
    assert not graph.of("iam/user:User")
    bound = graph.of("eks/podIdentityAssociation:PodIdentityAssociation")
    assert len({(each.at("namespace"), each.at("serviceAccount")) for each in bound}) == len(bound)
    for each in bound:
        trust = json.loads(graph.one("iam/role:Role", each.name).at("assumeRolePolicy"))
        expected = {
            "aws:RequestTag/kubernetes-namespace": each.at("namespace"),
            "aws:RequestTag/kubernetes-service-account": each.at("serviceAccount"),
            "aws:RequestTag/eks-cluster-arn": "arn:aws:eks:eu-west-1:111122223333:cluster/flyteform-prod",
        }
        assert trust["Statement"][0]["Condition"] == {"StringEquals": expected}


def test_no_wildcards(recordings: Recordings) -> None:
    """What may be done to objects and keys names them; only looking around is allowed on everything."""
    graph = recordings.shipped("aws", "prod-base")
    for each in graph.of("iam/rolePolicy:RolePolicy"):
        for statement in json.loads(each.at("policy"))["Statement"]:
            assert "*" not in statement["Action"], each.short
            everything = statement["Resource"] in ("*", ["*"])
            assert not everything or statement.get("Condition") or statement["Sid"] == "Look", each.short
