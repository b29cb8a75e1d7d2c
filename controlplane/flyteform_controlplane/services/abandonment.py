"""Giving up a cluster that does not come back, with all that it holds."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteform_controlplane.domain.clusters import missing
from flyteform_controlplane.errors import FailedPreconditionError
from flyteform_controlplane.services.given_up import ABANDONED
from flyteform_controlplane.store.sql import dispatch

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.services.backend import Backend
    from flyteform_controlplane.services.given_up import GivenUp

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Abandonment:
    """Ends what lost clusters hold. Done again after a crash it goes on with what is left."""

    backend: Backend
    ends: GivenUp

    async def abandon(self, name: str, at: datetime) -> int:
        """End all that the cluster holds; return how many executions that were.

        FAILED_PRECONDITION while it is heard, NOT_FOUND if there is none.
        """
        async with self.backend.database.transaction() as tx:
            silent_since = await self._silent_since(tx, name)
            if silent_since is None:
                raise FailedPreconditionError(
                    f"cluster {name!r} is not lost", remedy=f"drain it: `flyteform cluster drain {name}`"
                )
            await dispatch.return_offers(tx, [name], at)
            held = await dispatch.held_by(tx, name)
        message = f"the cluster {name!r} was given up: it has not been heard since {silent_since:%Y-%m-%d %H:%M:%S} UTC"
        for some in dispatch.portions(held):
            await self.ends.end(some, ABANDONED, message)
            async with self.backend.database.transaction() as tx:
                if await self._silent_since(tx, name) is not None:
                    await dispatch.remove(tx, [record.id for record in some])
                    continue
                # It has come back meanwhile: it aborts them, and says when nothing of them is left there.
                for record in some:
                    await dispatch.request_abort(tx, record, message, at)
        logger.warning("cluster %s is given up: %d executions ended", name, len(held))
        return len(held)

    async def _silent_since(self, tx: AsyncConnection, name: str) -> datetime | None:
        """Return since when the cluster is lost, None if it is heard; neither changes until the transaction ends."""
        record = await self.backend.store.clusters.get(tx, name)
        if record is None:
            raise missing(name)
        return record.lost_since
