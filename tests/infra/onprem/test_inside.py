"""Everything in the cluster: Ceph by Rook, PostgreSQL with backups and poolers; what each needs, and its order."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from flyteform_onprem.config import OnPremConfig
from flyteform_onprem.facts import read_facts
from flyteform_onprem.preflight import missing
from flyteform_platform.config.reading import parse_config
from flyteform_platform.errors import ConfigError
from support.recording.stacks import ROOT, stack_of
from support.recording.table import Row, holds

if TYPE_CHECKING:
    from support.recording.graph import Graph
    from support.recording.stacks import Recordings

FACTS = read_facts((ROOT / "tests" / "infra" / "facts.json").read_text())
KEY = "flyteform-onprem:platform"
DIGEST = f"ghcr.io/cloudnative-pg/postgresql:17.6@sha256:{'1' * 64}"
_STORE = "configuration"
_USER = "rook-ceph-object-user-flyteform-flyteform"
ROWS = [
    Row("helm.sh/v3:Release", "version", "v1.20.0", "rook-ceph"),
    Row("helm.sh/v3:Release", "version", "0.29.1", "cloudnative-pg"),
    Row("helm.sh/v3:Release", "namespace", "cnpg-system", "plugin-barman-cloud"),
    Row("CephCluster", "spec.mon.count", 3),
    Row("CephCluster", "spec.storage.storageClassDeviceSets[0].count", 4),
    Row("CephObjectStore", "spec.dataPool.replicated.size", 3),
    Row("CephObjectStore", "spec.preservePoolsOnDelete"),
    Row("CephObjectStore", "spec.gateway.instances", 2),
    Row("CephObjectStoreUser", "spec.store", "flyteform"),
    Row("Secret", "stringData.SecretKey", "the-secret-of-s3SecretAccessKey", _USER, secret=True),
    Row("Secret", "metadata.annotations", {"rook.io/source-of-truth": "secret"}, _USER),
    *(
        Row("ObjectBucketClaim", "spec.additionalConfig.bucketOwner", "flyteform", f"{name}-objectbucketclaim")
        for name in ("flyteform-metadata", "flyteform-raw", "backups")
    ),
    Row("StorageClass", "reclaimPolicy", "Retain"),
    Row("ObjectStore", f"spec.{_STORE}.destinationPath", "s3://backups/"),
    Row("ObjectStore", f"spec.{_STORE}.endpointURL", "http://rook-ceph-rgw-flyteform.rook-ceph.svc.cluster.local:8080"),
    Row("ObjectStore", f"spec.{_STORE}.s3Credentials.accessKeyId.name", "flyteform-objects"),
    Row("ObjectStore", "spec.retentionPolicy", "7d"),
    Row("ScheduledBackup", "spec.pluginConfiguration.name", "barman-cloud.cloudnative-pg.io"),
    Row("postgresql.cnpg.io/v1:Cluster", "spec.imageName", DIGEST),
    Row("postgresql.cnpg.io/v1:Cluster", "spec.plugins[0].parameters.barmanObjectName", "flyteform-db"),
    Row("postgresql.cnpg.io/v1:Cluster", "spec.postgresql.synchronous.number", 1),
    Row("Pooler", "spec.instances", 2),
    Row("Pooler", "spec.pgbouncer.poolMode", "session"),
    Row("Namespace", "metadata.labels", lambda labels: "privileged" in labels.values(), "rook-ceph"),
]


def document(**onprem: Any) -> dict[str, Any]:
    """Return the configuration of dev with everything inside."""
    found: dict[str, Any] = deepcopy(stack_of("onprem", "dev").settings[KEY])
    found["addons"] |= {"rook": {"enabled": True}, "barmanCloud": {"enabled": True}}
    found["onprem"] |= {
        "postgres": {"cluster": {"instances": 3, "image": DIGEST, "backups": "backups", "poolers": 2}},
        "s3": {"rook": {"disks": 4}},
        **onprem,
    }
    return found


@pytest.fixture(scope="session")
def inside(recordings: Recordings) -> Graph:
    """Record the stack once."""
    stack = replace(stack_of("onprem", "dev"), name="inside")
    return recordings.record(stack, "onprem-inside", changes={KEY: document()}).check()


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_settings(inside: Graph, row: Row) -> None:
    """Ceph, PostgreSQL, its backups and its poolers are as a site needs them."""
    holds(inside, row)


def test_order(inside: Graph) -> None:
    """The control plane comes after the buckets, these after Ceph, and it after its operator."""
    assert any("rook-ceph" in each for each in inside.one("CephCluster").options["dependencies"])
    assert any("CephObjectStoreUser" in each for each in inside.of("ObjectBucketClaim")[0].options["dependencies"])
    namespace = inside.one("core/v1:Namespace", "flyteform").options["dependencies"]
    assert any("ObjectBucketClaim" in each for each in namespace)


def test_reached(inside: Graph) -> None:
    """Pods of the platform and of its databases reach Ceph, whose pods' port is that of its service."""
    for name in ("flyteform-controlplane", "flyteform-database"):
        rules = inside.one("NetworkPolicy", name).at("spec.egress")
        found = [rule for rule in rules if "rook-ceph" in str(rule["to"])]
        assert any(8080 in [each["port"] for each in rule["ports"]] for rule in found), name
    assert "flyteform-db-pooler.flyteform.svc" in str(inside.one("Deployment", "flyteform").inputs)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"addons": {"cloudnativePg": {"enabled": True}, "rook": {"enabled": True}}}, "needs addons.barmanCloud"),
        ({"addons": {"cloudnativePg": {"enabled": True}, "barmanCloud": {"enabled": True}}}, "needs addons.rook"),
        ({"projects": [{"name": "aa", "secrets": ["one"]}]}, "make Secrets in their namespaces"),
        ({"preset": "prod"}, "the preset prod needs"),
    ],
)
def test_refused(changes: dict[str, Any], told: str) -> None:
    """What would not come up is refused before anything is made."""
    found = document()
    found["onprem"].pop("metallb")
    with pytest.raises(ConfigError) as refused:
        parse_config(OnPremConfig, {**found, **changes})
    assert told in str(refused.value)


def test_preflight() -> None:
    """Three copies need three nodes, and claims a class of disks."""
    config = parse_config(OnPremConfig, document())
    assert not missing(config, FACTS)
    told = "\n".join(missing(config, replace(FACTS, nodes=2, default_storage_class="")))
    assert "the cluster has 2 nodes: onprem.s3.rook needs 3" in told
    assert "name one as onprem.s3.rook.storageClass" in told
    present = document()
    present["addons"] |= {"rook": {"enabled": False, "present": True}}
    assert any("has no ceph.rook.io" in each for each in missing(parse_config(OnPremConfig, present), FACTS))
