"""Rules for Google Cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flyteform_platform.policies.resource import expect

if TYPE_CHECKING:
    from flyteform_platform.policies.resource import Problems, Resource

_ANYONE: Final = ("allUsers", "allAuthenticatedUsers")
_BROAD: Final = ("roles/owner", "roles/editor", "roles/storage.admin", "roles/container.admin")


def _bucket(resource: Resource) -> Problems:
    yield from expect(resource, uniformBucketLevelAccess=True, publicAccessPrevention="enforced")


def _database(resource: Resource) -> Problems:
    yield from expect(resource, settings__ipConfiguration__ipv4Enabled=False)
    if resource.at("settings.ipConfiguration.sslMode") not in ("ENCRYPTED_ONLY", "TRUSTED_CLIENT_CERTIFICATE_REQUIRED"):
        yield "connections may be unencrypted"
    if resource.is_production:
        yield from expect(
            resource,
            deletionProtection=True,
            settings__deletionProtectionEnabled=True,
            settings__availabilityType="REGIONAL",
        )


def _cluster(resource: Resource) -> Problems:
    yield from expect(
        resource,
        privateClusterConfig__enablePrivateNodes=True,
        controlPlaneEndpointsConfig__ipEndpointsConfig__enabled=False,
    )
    if not resource.at("workloadIdentityConfig"):
        yield "pods have no identity of their own"


def _member(resource: Resource) -> Problems:
    if resource.inputs.get("member") in _ANYONE:
        yield f"everybody is a member: {resource.inputs.get('member')}"
    # Groups of people administer clusters; workloads do not.
    if resource.inputs.get("role") in _BROAD and not str(resource.inputs.get("member")).startswith("group:"):
        yield f"{resource.inputs.get('role')} is more than anything of a platform needs"


RULES: Final = {
    "gcp-buckets-closed": ("No bucket is public by mistake.", ("gcp:storage/bucket:Bucket",), _bucket),
    "gcp-databases": (
        "Databases are inside, encrypted, and hard to lose.",
        ("sql/databaseInstance:DatabaseInstance",),
        _database,
    ),
    "gcp-clusters": ("Nodes have no public address, pods an identity.", ("gcp:container/cluster:Cluster",), _cluster),
    "gcp-members": (
        "Nobody may do everything.",
        ("IAMMember", "IamMember"),
        _member,
    ),
}
