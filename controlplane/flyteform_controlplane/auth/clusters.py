"""Tokens of data planes whose clusters were onboarded while this control plane runs, on this replica or another."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Final

from flyteform_controlplane.auth.keys import import_public_keys
from flyteform_controlplane.auth.verification import TrustedIssuer, Verifier
from flyteform_controlplane.domain.clusters import LONGEST_LIFETIME, bootstrapped_names
from flyteform_controlplane.domain.filters import Query
from flyteform_controlplane.errors import UnauthenticatedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flyteform_controlplane.auth.authority import Authority
    from flyteform_controlplane.domain.clusters import ClusterRecord
    from flyteform_controlplane.domain.principals import Principal
    from flyteform_controlplane.store.database import Database
    from flyteform_controlplane.store.ports import Store

_log = logging.getLogger(__name__)
# How long what was read of clusters is believed, and how soon a token of an unknown key may have them read again.
_FRESH_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 0.5
_MAX_CLUSTERS: Final = 10_000


class ClusterLogins:
    """Knows callers by the authority's own means, and data planes by the keys that are pinned for their clusters.

    Which cluster a token is of follows from the keys that verify it and from nothing that it says.
    """

    def __init__(
        self,
        authority: Authority,
        database: Database,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._authority = authority
        self._database = database
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._known: tuple[tuple[str, bytes, str], ...] = ()
        self._verifier = Verifier((), clock=clock)
        self._read_at: float | None = None
        self._reading = asyncio.Lock()

    def look(self) -> None:
        """Read the clusters again before the next token of a data plane is believed."""
        self._read_at = None

    async def authenticate(self, token: str) -> Principal:
        """Return who presents the token; `UnauthenticatedError` if nobody whom we trust."""
        try:
            return self._authority.authenticate(token)
        except UnauthenticatedError as error:
            refusal = error
        await self._refresh(_FRESH_SECONDS)
        if not self._verifier.knows(token):
            await self._refresh(_AGAIN_SECONDS)
            if not self._verifier.knows(token):
                raise refusal
        return self._verifier.authenticate(token)

    async def _refresh(self, seconds: float) -> None:
        async with self._reading:
            at = self._monotonic()
            if self._read_at is not None and at - self._read_at < seconds:
                return
            async with self._database.reading() as tx:
                records = await self._store.clusters.page(tx, Query(limit=_MAX_CLUSTERS))
            self._read_at = at
            self._take(records)

    def _take(self, records: Sequence[ClusterRecord]) -> None:
        known = tuple(
            sorted(
                (record.name, record.spec.identity.SerializeToString(deterministic=True), record.pinned_key)
                for record in records
            )
        )
        if known != self._known:
            self._known = known
            issuers = (issuer for record in records for issuer in trusted_issuers(record))
            self._verifier = Verifier(tuple(issuers), clock=self._clock)


def trusted_issuers(record: ClusterRecord) -> tuple[TrustedIssuer, ...]:
    """Return whose tokens are the cluster's: its declared identity's, or else those by the key that was pinned for it.

    The audience of the latter is what the redeemed token's answer said, and each is short-lived.
    """
    identity = record.spec.identity
    try:
        if record.spec.HasField("identity"):
            keys = import_public_keys(json.loads(identity.jwks))
            return (TrustedIssuer(identity.issuer, identity.audience, keys, record.name, identity.subject),)
        if record.pinned_key:
            document = json.loads(record.pinned_key)
            issuer, subject = bootstrapped_names(record.name)
            keys = import_public_keys(document)
            longest = LONGEST_LIFETIME.total_seconds()
            return (TrustedIssuer(issuer, document["audience"], keys, record.name, subject, longest=longest),)
    except (ValueError, KeyError, TypeError):
        # A row that another version has written: this cluster stays outside, the others go on.
        _log.exception("the identity of cluster %s cannot be read", record.name)
    return ()
