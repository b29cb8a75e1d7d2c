"""DataCatalog's calls: how many results of a task are kept. A stock FlyteAdmin may not serve them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.datacatalog import datacatalog_pb2 as messages

from flyteform.errors import NotFoundError

if TYPE_CHECKING:
    from flyteform.client.calls import Caller

_CATALOG = "datacatalog.DataCatalog"
_PAGE_ROWS = 50  # what a DataCatalog gives at most


async def count_artifacts(caller: Caller, dataset: messages.DatasetID, limit: int) -> tuple[int, bool]:
    """Return how many results a dataset holds, and whether there are more than the `limit` up to which they count.

    Raises the common errors; `NotFoundError` does not come: a dataset that is not there holds nothing.
    """
    found, token = 0, ""
    while found < limit:
        pagination = messages.PaginationOptions(limit=_PAGE_ROWS, token=token)
        request = messages.ListArtifactsRequest(dataset=dataset, pagination=pagination)
        try:
            answer = await caller.call(_CATALOG, "ListArtifacts", request, messages.ListArtifactsResponse)
        except NotFoundError:
            return found, False
        found, token = found + len(answer.artifacts), answer.next_token
        if not token or not answer.artifacts:
            return found, False
    return found, True
