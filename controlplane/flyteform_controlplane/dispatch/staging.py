"""What a lease names that its cluster cannot read: collected with signed URLs, for the data plane to copy."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

from flyteform.errors import InvalidInputError
from flyteform.objects.references import URI, collect_texts
from flyteform_controlplane.domain.clusters import within

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteform.proto.flyteform.v1 import link_pb2

# As long as it may take a data plane to copy all.
URL_LIFE: Final = timedelta(hours=1)
_MOST_OBJECTS: Final = 1000
LARGEST_BYTES: Final = 256 * 1024 * 1024
_ALL_BYTES: Final = 4 * 1024 * 1024 * 1024


class Stores(Protocol):
    """The stores of the control plane and of all clusters."""

    @property
    def prefix(self) -> str:
        """The URI that all objects of the control plane's store start with."""
        ...

    async def holder(self, uri: str) -> str | None:
        """Return the cluster in whose store the URI lies; None for the control plane's, and for nobody's."""
        ...

    async def below(self, uri: str, expires_in: timedelta, limit: int) -> list[link_pb2.StagedObject]:
        """Return the object of that URI, or those below it, with URLs."""
        ...


async def add_staging(lease: link_pb2.Lease, storage: str, stores: Stores) -> None:
    """Add to the lease what a cluster with its store below `storage` cannot read by itself.

    That are code bundles in the control plane's store, and objects that the inputs name in that store or another
    cluster's. What lies elsewhere is left as it is: the tasks may have access of their own. `UnavailableError` while a
    cluster that has an object cannot be asked; `InvalidInputError` for what is too large to be copied.
    """
    size = 0
    for uri in [*_bundles(lease, stores.prefix), *collect_texts(lease.inputs, URI)]:
        if within(uri, storage) or not await _is_ours(uri, stores):
            continue
        objects = await stores.below(uri, URL_LIFE, _MOST_OBJECTS)
        size += sum(one.size for one in objects)
        largest = max((one.size for one in objects), default=0)
        if largest > LARGEST_BYTES or size > _ALL_BYTES:
            raise InvalidInputError(
                f"{uri} is too large to be copied to the store of the cluster that the execution goes to: "
                f"one object may have {LARGEST_BYTES} bytes, all together {_ALL_BYTES}",
                remedy="run it in the cluster that has the data, or put the data where all clusters can read it",
            )
        lease.staging.add(uri=uri, objects=objects)


async def _is_ours(uri: str, stores: Stores) -> bool:
    return within(uri, stores.prefix) or await stores.holder(uri) is not None


def _bundles(lease: link_pb2.Lease, prefix: str) -> Iterable[str]:
    """Return what tasks name of the control plane's store, in their commands and wherever else."""
    named = re.compile(rf"{re.escape(prefix)}/[^\s\"',;]+")
    found: dict[str, None] = {}
    for task in lease.closure.tasks:
        for text in collect_texts(task.template):
            found |= dict.fromkeys(named.findall(text))
    return found
