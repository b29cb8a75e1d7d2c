"""What production on Google Cloud must have: each row is a resource and a setting, and this is where it is asserted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.recording.rules import at_least, contains, is_set
from support.recording.table import Row, holds

if TYPE_CHECKING:
    from support.recording.stacks import Recordings

_CLUSTER = {
    "deletionProtection": True,
    "protect": True,
    "removeDefaultNodePool": True,
    "workloadIdentityConfig.workloadPool": "example-workflows-prod.svc.id.goog",
    "privateClusterConfig.enablePrivateNodes": True,
    "controlPlaneEndpointsConfig.dnsEndpointConfig.allowExternalTraffic": False,
    "controlPlaneEndpointsConfig.ipEndpointsConfig.enabled": False,
    "datapathProvider": "ADVANCED_DATAPATH",
    "databaseEncryption.state": "ENCRYPTED",
    "databaseEncryption.keyName": is_set,
    "enableShieldedNodes": True,
    "gatewayApiConfig.channel": "CHANNEL_STANDARD",
    "secretManagerConfig.enabled": True,
    "costManagementConfig.enabled": True,
    "securityPostureConfig.mode": "BASIC",
    "binaryAuthorization.evaluationMode": "PROJECT_SINGLETON_POLICY_ENFORCE",
    "authenticatorGroupsConfig.securityGroup": "gke-security-groups@example.com",
    "releaseChannel.channel": "REGULAR",
    "maintenancePolicy.recurringWindow.recurrence": is_set,
    "masterAuth.clientCertificateConfig.issueClientCertificate": False,
    "clusterAutoscaling.autoscalingProfile": "OPTIMIZE_UTILIZATION",
    "fleet.project": "example-workflows-prod",
    "managedOpentelemetryConfig.scope": "COLLECTION_AND_INSTRUMENTATION_COMPONENTS",
    "nodeLocations": ["europe-west1-b", "europe-west1-c", "europe-west1-d"],
}
_DATABASE = {
    "settings.availabilityType": "REGIONAL",
    "settings.ipConfiguration.ipv4Enabled": False,
    "settings.ipConfiguration.privateNetwork": is_set,
    "settings.ipConfiguration.sslMode": "ENCRYPTED_ONLY",
    "settings.backupConfiguration.pointInTimeRecoveryEnabled": True,
    "settings.backupConfiguration.backupRetentionSettings.retainedBackups": at_least(14),
    "settings.databaseFlags[0].name": "cloudsql.iam_authentication",
    "settings.databaseFlags[0].value": "on",
    "deletionProtection": True,
    "settings.deletionProtectionEnabled": True,
    "settings.finalBackupConfig.enabled": True,
    "settings.insightsConfig.queryInsightsEnabled": True,
    "encryptionKeyName": is_set,
    "protect": True,
}
_BUCKET = {
    "uniformBucketLevelAccess": True,
    "publicAccessPrevention": "enforced",
    "versioning.enabled": True,
    "softDeletePolicy.retentionDurationSeconds": at_least(7 * 86400),
    "encryption.defaultKmsKeyName": is_set,
    "lifecycleRules[0].action.type": "AbortIncompleteMultipartUpload",
    "lifecycleRules[1].condition.daysSinceNoncurrentTime": 30,
    "protect": True,
}
_NODES = {
    "nodeConfig.serviceAccount": contains("nodes@"),
    "nodeConfig.workloadMetadataConfig.mode": "GKE_METADATA",
    "nodeConfig.shieldedInstanceConfig.enableSecureBoot": True,
    "nodeConfig.shieldedInstanceConfig.enableIntegrityMonitoring": True,
    "management.autoUpgrade": True,
    "networkConfig.enablePrivateNodes": True,
    "autoscaling.totalMaxNodeCount": at_least(1),
    "ignoreChanges": contains("initialNodeCount"),
}
_REPLICA = "replication.userManaged.replicas[0]"
_SECRET = {
    "secretId": contains("flyteform-prod-fraud-"),
    f"{_REPLICA}.location": "europe-west1",
    f"{_REPLICA}.customerManagedEncryption.kmsKeyName": is_set,
    "deletionProtection": True,
    "protect": True,
    "versionDestroyTtl": "604800s",
}
ROWS = [
    Row("projects/service:Service", "disableOnDestroy", expected=False),
    Row("compute/network:Network", "autoCreateSubnetworks", expected=False),
    Row("compute/subnetwork:Subnetwork", "privateIpGoogleAccess"),
    Row("compute/subnetwork:Subnetwork", "secondaryIpRanges[0].rangeName", "pods"),
    Row("compute/subnetwork:Subnetwork", "secondaryIpRanges[1].rangeName", "services"),
    Row("compute/subnetwork:Subnetwork", "logConfig.flowSampling", is_set),
    Row("compute/router:Router", "network", is_set),
    Row("compute/routerNat:RouterNat", "natIpAllocateOption", "AUTO_ONLY"),
    Row("compute/firewall:Firewall", "sourceRanges", ["35.191.0.0/16", "130.211.0.0/22"]),
    Row("servicenetworking/connection:Connection", "service", "servicenetworking.googleapis.com"),
    *(Row("container/cluster:Cluster", key, value) for key, value in _CLUSTER.items()),
    *(Row("container/nodePool:NodePool", key, value) for key, value in _NODES.items()),
    Row("container/nodePool:NodePool", "nodeConfig.spot", name="spot"),
    Row("container/nodePool:NodePool", "nodeConfig.taints[0].key", "cloud.google.com/gke-spot", "spot"),
    Row("container/nodePool:NodePool", "nodeConfig.guestAccelerators[0].type", "nvidia-l4", "gpu"),
    Row(
        "container/nodePool:NodePool",
        "nodeConfig.guestAccelerators[0].gpuDriverInstallationConfig.gpuDriverVersion",
        "DEFAULT",
        "gpu",
    ),
    *(Row("container/nodePool:NodePool", "management.autoRepair", name=name) for name in ("system", "workers", "spot")),
    Row("container/nodePool:NodePool", "nodeConfig.flexStart", name="gpu"),
    Row("container/nodePool:NodePool", "nodeConfig.maxRunDuration", "604800s", "gpu"),
    Row(
        "container/nodePool:NodePool",
        "nodeConfig.reservationAffinity.consumeReservationType",
        "NO_RESERVATION",
        "gpu",
    ),
    *(
        Row("serviceaccount/account:Account", "accountId", is_set, name)
        for name in ("controlplane", "dataplane", "nodes")
    ),
    Row(
        "serviceaccount/iAMMember:IAMMember",
        "member",
        "serviceAccount:example-workflows-prod.svc.id.goog[flyteform/flyteform-controlplane]",
        "controlplane-flyteform-controlplane",
    ),
    Row("storage/bucketIAMMember:BucketIAMMember", "role", "roles/storage.objectUser", "controlplane-metadata"),
    Row(
        "storage/bucketIAMMember:BucketIAMMember",
        "member",
        contains("principal://iam.googleapis.com/projects/100000000003/", "/subject/ns/fraud-production/sa/"),
        "fraud-production-executions",
    ),
    *(Row("sql/databaseInstance:DatabaseInstance", key, value) for key, value in _DATABASE.items()),
    *(Row("sql/database:Database", "name", name, name) for name in ("admin", "catalog")),
    Row("sql/user:User", "type", "CLOUD_IAM_SERVICE_ACCOUNT"),
    *(Row("storage/bucket:Bucket", key, value) for key, value in _BUCKET.items()),
    Row("storage/bucket:Bucket", "autoclass.enabled", name="raw"),
    Row("kms/cryptoKey:CryptoKey", "rotationPeriod", "7776000s"),
    Row("kms/cryptoKey:CryptoKey", "protect"),
    Row("kms/keyRing:KeyRing", "location", "europe-west1"),
    *(
        Row("kms/cryptoKeyIAMMember:CryptoKeyIAMMember", "member", contains("gserviceaccount.com"), name)
        for name in ("storage", "sql", "cluster", "images", "secrets")
    ),
    # Accounts of services that nobody has asked for are not there to be granted anything.
    *(
        Row("projects/serviceIdentity:ServiceIdentity", "service", f"{name}.googleapis.com", name)
        for name in ("sqladmin", "artifactregistry", "secretmanager")
    ),
    *(Row("secretmanager/secret:Secret", key, value) for key, value in _SECRET.items()),
    Row("secretmanager/secretIamMember:SecretIamMember", "role", "roles/secretmanager.secretAccessor"),
    Row(
        "secretmanager/secretIamMember:SecretIamMember",
        "member",
        contains("/subject/ns/external-secrets/sa/external-secrets"),
    ),
    Row("artifactregistry/repository:Repository", "dockerConfig.immutableTags", name="images"),
    Row("artifactregistry/repository:Repository", "cleanupPolicies[0].action", "DELETE", "images"),
    Row("artifactregistry/repository:Repository", "mode", "REMOTE_REPOSITORY", "public"),
    Row("artifactregistry/repository:Repository", "kmsKeyName", is_set),
    Row("dns/recordSet:RecordSet", "managedZone", "example-prod"),
    Row("certificatemanager/dnsAuthorization:DnsAuthorization", "domain", "flyte.example.com"),
    Row("certificatemanager/certificate:Certificate", "managed.domains", ["flyte.example.com"]),
    Row("certificatemanager/certificateMapEntry:CertificateMapEntry", "hostname", "flyte.example.com"),
    Row("certificatemanager/certificateMap:CertificateMap", "name", "flyteform-prod-edge"),
    Row("compute/globalAddress:GlobalAddress", "purpose", "VPC_PEERING", "databases"),
    Row("compute/securityPolicy:SecurityPolicy", "rules[0].action", "deny(403)"),
    Row("compute/securityPolicy:SecurityPolicy", "rules[1].match.config.srcIpRanges", ["198.51.100.0/24"]),
    Row("monitoring/notificationChannel:NotificationChannel", "type", "email"),
    Row("monitoring/alertPolicy:AlertPolicy", "notificationChannels", is_set),
    Row("billing/budget:Budget", "amount.specifiedAmount.units", "20000"),
    Row("cloudquota/sQuotaPreference:SQuotaPreference", "quotaConfig.preferredValue", is_set),
    Row("gkebackup/backupPlan:BackupPlan", "retentionPolicy.backupRetainDays", 35),
]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_settings(recordings: Recordings, row: Row) -> None:
    """Production has every setting that it needs."""
    holds(recordings.shipped("gcp", "prod-base"), row)


def test_no_static_keys(recordings: Recordings) -> None:
    """There are no keys of accounts, and no password of a database."""
    graph = recordings.shipped("gcp", "prod-base")
    assert not graph.of("serviceaccount/key:Key")
    assert all(each.at("password") is None for each in graph.of("sql/user:User"))


def test_accounts_speak_for_themselves(recordings: Recordings) -> None:
    """Tokens are made in an account's own name, or by the control plane in that of its databases' users."""
    graph = recordings.shipped("gcp", "prod-base")
    creators = [
        each
        for each in graph.of("serviceaccount/iAMMember:IAMMember")
        if each.at("role") == "roles/iam.serviceAccountTokenCreator"
    ]
    assert {each.name for each in creators} == {
        "controlplane-signs",
        "dataplane-signs",
        "admin-database",
        "catalog-database",
    }
    for each in creators:
        speaker = each.at("member").removeprefix("serviceAccount:")
        spoken_for = each.at("serviceAccountId").rpartition("/")[2]
        assert speaker == spoken_for or speaker.startswith("flyteform-prod-controlplane@"), each.short


def test_prefixes_only(recordings: Recordings) -> None:
    """Nobody is granted a whole bucket: each grant is a folder's or names the prefix of its objects."""
    graph = recordings.shipped("gcp", "prod-base")
    grants = graph.of("storage/bucketIAMMember:BucketIAMMember")
    assert grants
    assert all("/objects/" in each.at("condition.expression") for each in grants)
    folders = graph.of("storage/managedFolder:ManagedFolder")
    assert {each.at("name") for each in folders} >= {"raw/fraud/production/", "uploads/fraud/production/"}
    assert not graph.of("storage/bucketIAMBinding:BucketIAMBinding")
