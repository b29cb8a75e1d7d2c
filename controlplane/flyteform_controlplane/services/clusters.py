"""Clusters, beside FlyteIDL: what is declared of them, their states, and the first login of their data planes."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from flyteform.proto.flyteform.v1 import clusters_pb2
from flyteform.proto.flyteform.v1.clusters_pb2_grpc import ClusterServiceServicer
from flyteform_controlplane.domain.clusters import (
    LONGEST_LIFETIME,
    BootstrapTokenRecord,
    ClusterRecord,
    bootstrapped_names,
    check_alone,
    check_name,
    check_revision,
    check_spec,
    declared,
    missing,
)
from flyteform_controlplane.domain.dispatches import ClusterState
from flyteform_controlplane.domain.filters import Query, Sort
from flyteform_controlplane.domain.paging import next_token, page_offset
from flyteform_controlplane.domain.times import now, to_timestamp
from flyteform_controlplane.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    UnauthenticatedError,
)
from flyteform_controlplane.services.abandonment import Abandonment
from flyteform_controlplane.services.cluster_messages import cluster_messages
from flyteform_controlplane.store.sql import clusters as states
from flyteform_controlplane.store.sql import dispatch
from flyteform_controlplane.store.sql.locks import lock_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from google.protobuf.duration_pb2 import Duration
    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.services.backend import Backend
    from flyteform_controlplane.services.given_up import GivenUp

_MAX_ROWS: Final = 1000
_PAGE: Final = 100
_TOKEN_LIFE, _LONGEST_TOKEN_LIFE = timedelta(hours=1), timedelta(days=1)
_REFUSED: Final = "the bootstrap token is refused: it is not known, was used, or has expired"


class ClusterService(ClusterServiceServicer):
    """Serves `flyteform.v1.ClusterService`.

    `keys` raises ValueError for what is no set of public keys; `changed` is called after whatever bears on leases,
    tokens or resources.
    """

    def __init__(
        self,
        backend: Backend,
        ends: GivenUp,
        audience: str,
        keys: Callable[[Any], object],
        changed: Callable[[], None] = lambda: None,
        *,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._backend = backend
        self._abandonment = Abandonment(backend, ends)
        self._clusters = backend.store.clusters
        self._tokens = backend.store.bootstrap_tokens
        self._audience = audience
        self._import_keys = keys
        self._changed = changed
        self._now = clock

    async def PutCluster(
        self, request: clusters_pb2.PutClusterRequest, _context: object
    ) -> clusters_pb2.PutClusterResponse:
        """Onboard a cluster, or replace what was declared of it."""
        check_name(request.name)
        check_spec(request.spec)
        self._check_keys(request.spec.identity.jwks)
        async with self._backend.database.transaction() as tx:
            await lock_name(tx, "clusters", "")
            record = await self._clusters.get(tx, request.name)
            if request.HasField("revision"):
                check_revision(record, request.revision)
            check_alone(request.name, request.spec, await self._clusters.page(tx, Query(limit=_MAX_ROWS)))
            at = self._now()
            wanted = declared(
                record or ClusterRecord(name=request.name, created_at=at, updated_at=at), request.spec, at
            )
            if record is None:
                await self._clusters.add(tx, wanted)
            elif wanted is not record:
                await self._clusters.save_many(tx, [wanted])
            cluster = (await cluster_messages(tx, [wanted]))[0]
        self._changed()
        return clusters_pb2.PutClusterResponse(cluster=cluster)

    async def GetCluster(
        self, request: clusters_pb2.GetClusterRequest, _context: object
    ) -> clusters_pb2.GetClusterResponse:
        """Return a cluster."""
        async with self._backend.database.reading() as tx:
            return clusters_pb2.GetClusterResponse(cluster=await self._message(tx, request.name))

    async def ListClusters(
        self, request: clusters_pb2.ListClustersRequest, _context: object
    ) -> clusters_pb2.ListClustersResponse:
        """Return a page of the clusters by name."""
        query = Query(
            sort=Sort("name", ascending=True),
            limit=min(request.limit or _PAGE, _MAX_ROWS),
            offset=page_offset(request.token),
        )
        async with self._backend.database.reading() as tx:
            rows = await self._clusters.page(tx, query)
            messages = await cluster_messages(tx, rows)
        return clusters_pb2.ListClustersResponse(clusters=messages, token=next_token(query, rows))

    async def DeleteCluster(
        self, request: clusters_pb2.DeleteClusterRequest, _context: object
    ) -> clusters_pb2.DeleteClusterResponse:
        """Forget a cluster that has nothing left."""
        check_name(request.name)
        async with self._backend.database.transaction() as tx:
            record = await self._clusters.get(tx, request.name)
            if record is None:
                return clusters_pb2.DeleteClusterResponse()
            if request.HasField("revision"):
                check_revision(record, request.revision)
            left = sum((await dispatch.counts(tx, [request.name])).values())
            if left:
                raise FailedPreconditionError(
                    f"cluster {request.name!r} has {left} executions",
                    remedy="drain it (`flyteform cluster drain`) and wait for their ends, or abort them; "
                    "one that does not come back: `flyteform cluster abandon`",
                )
            await self._clusters.delete(tx, request.name)
            await states.forget_tokens(tx, request.name)
        self._changed()
        return clusters_pb2.DeleteClusterResponse()

    async def DrainCluster(
        self, request: clusters_pb2.DrainClusterRequest, _context: object
    ) -> clusters_pb2.DrainClusterResponse:
        """Lease nothing more to the cluster; what it holds runs to its end."""
        return clusters_pb2.DrainClusterResponse(cluster=await self._hold_back(request.name, ClusterState.DRAINING))

    async def CordonCluster(
        self, request: clusters_pb2.CordonClusterRequest, _context: object
    ) -> clusters_pb2.CordonClusterResponse:
        """Lease nothing more to the cluster for now."""
        return clusters_pb2.CordonClusterResponse(cluster=await self._hold_back(request.name, ClusterState.CORDONED))

    async def UncordonCluster(
        self, request: clusters_pb2.UncordonClusterRequest, _context: object
    ) -> clusters_pb2.UncordonClusterResponse:
        """Lease to the cluster again."""
        return clusters_pb2.UncordonClusterResponse(cluster=await self._hold_back(request.name, None))

    async def AbandonCluster(
        self, request: clusters_pb2.AbandonClusterRequest, _context: object
    ) -> clusters_pb2.AbandonClusterResponse:
        """End what a cluster that does not come back holds."""
        check_name(request.name)
        ended = await self._abandonment.abandon(request.name, self._now())
        self._changed()
        async with self._backend.database.reading() as tx:
            cluster = await self._message(tx, request.name)
        return clusters_pb2.AbandonClusterResponse(cluster=cluster, ended=ended)

    async def CreateBootstrapToken(
        self, request: clusters_pb2.CreateBootstrapTokenRequest, _context: object
    ) -> clusters_pb2.CreateBootstrapTokenResponse:
        """Make a token that its cluster's data plane can use once, in place of those that were not used."""
        ttl = _ttl(request.ttl) if request.HasField("ttl") else _TOKEN_LIFE
        text, at = secrets.token_urlsafe(32), self._now()
        async with self._backend.database.transaction() as tx:
            record = await self._known(tx, request.name)
            if record.spec.HasField("identity"):
                raise FailedPreconditionError(
                    f"cluster {request.name!r} has an issuer of tokens",
                    remedy="its data plane shows the token of its service account: no bootstrap token is needed",
                )
            await states.forget_tokens(tx, request.name)
            token = BootstrapTokenRecord(
                digest=digest(text), cluster=request.name, expires_at=at + ttl, created_at=at, updated_at=at
            )
            await self._tokens.add(tx, token)
        return clusters_pb2.CreateBootstrapTokenResponse(token=text, expires_at=to_timestamp(at + ttl))

    async def RedeemBootstrapToken(
        self, request: clusters_pb2.RedeemBootstrapTokenRequest, _context: object
    ) -> clusters_pb2.RedeemBootstrapTokenResponse:
        """Pin the key of a cluster's data plane; whoever had the token before it keeps nothing."""
        async with self._backend.database.transaction() as tx:
            at = self._now()
            token = await self._tokens.get(tx, digest(request.token))
            if token is None or token.used_at is not None or token.expires_at <= at:
                raise UnauthenticatedError(_REFUSED, remedy="make another one: `flyteform cluster token NAME`")
            document = {"keys": [_json(request.public_key, "public_key")]}
            self._check_keys(json.dumps(document))
            pinned = json.dumps({**document, "audience": self._audience})
            record = await self._known(tx, token.cluster)
            await self._tokens.save_many(tx, [replace(token, used_at=at, updated_at=at)])
            # A stream of whoever had the key before ends by the epoch.
            pinned_now = replace(record, pinned_key=pinned, epoch=record.epoch + 1, updated_at=at)
            await self._clusters.save_many(tx, [pinned_now])
        self._changed()
        issuer, subject = bootstrapped_names(token.cluster)
        answer = clusters_pb2.RedeemBootstrapTokenResponse(
            name=token.cluster, issuer=issuer, audience=self._audience, subject=subject
        )
        answer.longest_lifetime.FromTimedelta(LONGEST_LIFETIME)
        return answer

    def _check_keys(self, jwks: str) -> None:
        if not jwks:
            return
        document = _json(jwks, "jwks")
        try:
            self._import_keys(document)
            private = [key.get("kid") for key in document["keys"] if "d" in key]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InvalidArgumentError(f"the keys cannot be used: {error}") from None
        if private:
            raise InvalidArgumentError("there is a private key among the keys", remedy="give the public halves alone")
        if not document["keys"]:
            raise InvalidArgumentError("there is no key among the keys")

    async def _hold_back(self, name: str, state: ClusterState | None) -> clusters_pb2.Cluster:
        check_name(name)
        async with self._backend.database.transaction() as tx:
            if not await states.hold_back(tx, name, state, self._now()):
                raise missing(name)
            message = await self._message(tx, name)
        self._changed()
        return message

    async def _message(self, tx: AsyncConnection, name: str) -> clusters_pb2.Cluster:
        return (await cluster_messages(tx, [await self._known(tx, name)]))[0]

    async def _known(self, tx: AsyncConnection, name: str) -> ClusterRecord:
        check_name(name)
        record = await self._clusters.get(tx, name)
        if record is None:
            raise missing(name)
        return record


def digest(token: str) -> str:
    """Return what is kept of a bootstrap token: it is random, so its hash needs no salt."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _json(text: str, field: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidArgumentError(f"{field} is no JSON") from None


def _ttl(asked: Duration) -> timedelta:
    try:
        ttl = asked.ToTimedelta()
    except (ValueError, OverflowError):
        ttl = timedelta(0)
    if not timedelta(0) < ttl <= _LONGEST_TOKEN_LIFE:
        raise InvalidArgumentError("invalid value for ttl", remedy="ask for a day at most")
    return ttl
