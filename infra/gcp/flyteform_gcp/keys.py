"""Keys that encrypt: by what they encrypt, rotated each quarter, usable by the service that needs each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_gcp import kms, projects, storage

import pulumi

if TYPE_CHECKING:
    from flyteform_gcp.context import Context

_QUARTER = "7776000s"


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys by what they encrypt, each with the grant that lets its service use it."""

    storage: kms.CryptoKey
    sql: kms.CryptoKey
    cluster: kms.CryptoKey
    images: kms.CryptoKey
    secrets: kms.CryptoKey
    grants: tuple[kms.CryptoKeyIAMMember, ...]


def make_keys(context: Context) -> Keys:
    """Make the keys. What is encrypted by a deleted key is lost, so they are protected where data matters."""
    ring = kms.KeyRing("keys", name=context.config.name, location=context.config.gcp.region, opts=context.options())
    number = context.config.gcp.number
    # Google's own accounts of the project: what encrypts in its name. The cluster's is there with its API, the others
    # not before somebody has asked for them.
    storage_account = storage.get_project_service_account_output(
        project=context.config.gcp.project,
        opts=pulumi.InvokeOutputOptions(provider=context.provider, depends_on=list(context.services)),
    )
    users: dict[str, pulumi.Input[str]] = {
        "storage": storage_account.email_address,
        "sql": _agent(context, "sqladmin"),
        "cluster": f"service-{number}@container-engine-robot.iam.gserviceaccount.com",
        "images": _agent(context, "artifactregistry"),
        "secrets": _agent(context, "secretmanager"),
    }
    keys = {name: _key(context, ring, name) for name in users}
    grants = tuple(
        kms.CryptoKeyIAMMember(
            name,
            crypto_key_id=keys[name].id,
            role="roles/cloudkms.cryptoKeyEncrypterDecrypter",
            member=pulumi.Output.concat("serviceAccount:", user),
            opts=context.options(),
        )
        for name, user in users.items()
    )
    return Keys(**keys, grants=grants)


def _agent(context: Context, service: str) -> pulumi.Output[str]:
    """Return the address of a service's own account, once it is there."""
    made = projects.ServiceIdentity(
        service, service=f"{service}.googleapis.com", project=context.config.gcp.project, opts=context.options()
    )
    return made.email


def _key(context: Context, ring: kms.KeyRing, name: str) -> kms.CryptoKey:
    return kms.CryptoKey(
        name,
        name=name,
        key_ring=ring.id,
        purpose="ENCRYPT_DECRYPT",
        rotation_period=_QUARTER,
        destroy_scheduled_duration="2592000s",
        opts=context.options(protect=context.config.storage.deletion_protection),
    )
