"""Clusters as they are declared: which declarations can be, and what follows from one."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from flyteform.proto.flyteform.v1.clusters_pb2 import ClusterSpec, StorageProfile, SyncStatus
from flyteform_controlplane.domain.dispatches import ClusterState
from flyteform_controlplane.domain.records import Record
from flyteform_controlplane.errors import (
    EntityExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    MissingEntityError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}").fullmatch
_VALUE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}").fullmatch
_PREFIX = re.compile(r"[a-z][a-z0-9]*://[^\s?#]*[^\s?#/]").fullmatch
_LONGEST_LABEL: Final = 255
_HEAVIEST: Final = 1e6
# Of tokens that data planes sign for themselves; they sign the next one before it ends.
LONGEST_LIFETIME: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRecord(Record):
    """A cluster with all that is known of it; `updated_at` is when an operator changed it last."""

    name: str
    labels: str = "[]"
    weights: str | None = None
    state: str = ClusterState.PENDING.value
    epoch: int = 0
    version: str = ""
    heartbeat_at: datetime | None = None
    spec: ClusterSpec = field(default_factory=ClusterSpec)
    revision: int = 0
    lost_since: datetime | None = None
    storage: StorageProfile = field(default_factory=StorageProfile)
    kubernetes_version: str = ""
    capacity: int = 0
    pinned_key: str = ""
    sync: SyncStatus = field(default_factory=SyncStatus)


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapTokenRecord(Record):
    """A token for the first login of a cluster's data plane, known by its digest alone."""

    digest: str
    cluster: str
    expires_at: datetime
    used_at: datetime | None = None


def check_name(name: str) -> None:
    """Refuse what is no name of a cluster."""
    if not _NAME(name):
        raise InvalidArgumentError(
            f"{name[:64]!r} is not a cluster's name", remedy="use letters, digits, '.', '_' and '-', up to 63"
        )


def missing(name: str) -> MissingEntityError:
    """Return the refusal of a cluster that is not there."""
    return MissingEntityError(f"there is no cluster {name!r}", remedy="see `flyteform get clusters`")


def check_spec(spec: ClusterSpec) -> None:
    """Refuse a declaration that is wrong by itself; keys are looked at by who knows them."""
    for label, weight in [*spec.labels.items(), ("", spec.weight)]:
        if len(label) > _LONGEST_LABEL or ("" in spec.labels):
            raise InvalidArgumentError(f"a label has 1 to {_LONGEST_LABEL} characters")
        if not (math.isfinite(weight) and 0 <= weight <= _HEAVIEST):
            where = f"label {label!r}" if label else "the cluster"
            raise InvalidArgumentError(f"the weight of {where} is {weight}: it has to be 0 to {_HEAVIEST:g}")
    for name in spec.template_values:
        if not _VALUE_NAME(name):
            raise InvalidArgumentError(f"the template value {name[:64]!r} has no name that a template could use")
    identity = spec.identity
    if spec.HasField("identity"):
        for name in ("issuer", "audience", "jwks", "subject"):
            if not getattr(identity, name):
                raise InvalidArgumentError(f"missing identity.{name}: a cluster's tokens have to fit all four")
    check_storage(spec.storage)


def check_storage(storage: StorageProfile) -> None:
    """Refuse a prefix that no objects could have."""
    if storage.prefix and not _PREFIX(storage.prefix):
        raise InvalidArgumentError(
            f"{storage.prefix[:200]!r} is no prefix of objects", remedy="write for example s3://bucket/prefix"
        )


def declared(record: ClusterRecord, spec: ClusterSpec, at: datetime) -> ClusterRecord:
    """Return the cluster with this declaration; unchanged if it is the one that it has."""
    if record.revision and record.spec == spec:
        return record
    weights = {**spec.labels, "": spec.weight if spec.HasField("weight") else 1.0}
    return replace(
        record,
        spec=spec,
        # Whoever speaks for it by another identity speaks for it no more: that ends its stream, wherever it is.
        epoch=record.epoch + (record.spec.identity != spec.identity),
        weights=json.dumps(weights, sort_keys=True),
        revision=record.revision + 1,
        updated_at=at,
    )


def check_revision(record: ClusterRecord | None, revision: int) -> None:
    """Refuse who would replace another declaration than the one that was looked at."""
    present = record.revision if record is not None else 0
    if present != revision:
        raise FailedPreconditionError(
            f"the cluster has revision {present}, not {revision}", remedy="look at it again, then repeat the change"
        )


def check_alone(name: str, spec: ClusterSpec, others: Iterable[ClusterRecord]) -> None:
    """Refuse an identity that another cluster has: nobody could tell whose token one is."""
    if not spec.HasField("identity"):
        return
    ours = spec.identity
    for other in others:
        theirs = other.spec.identity
        same = (ours.issuer, ours.audience, ours.subject) == (theirs.issuer, theirs.audience, theirs.subject)
        if other.name != name and same and _keys(ours.jwks) & _keys(theirs.jwks):
            raise EntityExistsError(
                f"cluster {other.name!r} has the same identity",
                remedy="give each cluster its own service account, audience or keys",
            )


def check_prefix(
    record: ClusterRecord | None, storage: StorageProfile, own: str, others: Iterable[ClusterRecord]
) -> None:
    """Refuse a data plane's store that is not the declared one, or that meets another's: the platform's `own` one too.

    Who holds an object is told by its URI: two clusters may share a store only if both are declared to. One that is
    declared and has not come yet has its store already.
    """
    expected = record.spec.storage.prefix if record is not None else ""
    if expected and expected != storage.prefix:
        found = storage.prefix or "the platform's own"
        raise FailedPreconditionError(f"the cluster is declared to keep its data below {expected}, not {found}")
    if not storage.prefix or expected:
        return
    taken = [("the platform", own)]
    for other in others:
        if record is None or other.name != record.name:
            whose = f"cluster {other.name!r}"
            taken += [(whose, other.storage.prefix), (whose, other.spec.storage.prefix)]
    for whose, theirs in taken:
        if theirs and (within(storage.prefix, theirs) or within(theirs, storage.prefix)):
            raise FailedPreconditionError(
                f"{whose} keeps its data below {theirs}",
                remedy="give each cluster a bucket or prefix of its own, or declare the storage of both",
            )


def bootstrapped_names(cluster: str) -> tuple[str, str]:
    """Return the issuer and the subject of the tokens that the data plane of a cluster signs by a pinned key."""
    return f"flyteform-dataplane/{cluster}", f"dataplane-{cluster}"


def within(uri: str, prefix: str) -> bool:
    """Say whether a URI is the prefix or lies below it."""
    return uri == prefix or uri.startswith(f"{prefix}/")


def _keys(jwks: str) -> frozenset[str]:
    return frozenset(json.dumps(key, sort_keys=True) for key in json.loads(jwks)["keys"]) if jwks else frozenset()
