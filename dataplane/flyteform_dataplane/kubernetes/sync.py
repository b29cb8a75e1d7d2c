"""Server-side apply of what the platform keeps in a cluster, with a field manager of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform.errors import ConflictError, NotFoundError
from flyteform_dataplane.kubernetes.scopes import Namespaces
from flyteform_dataplane.sync.resources import MANAGED_BY, OWNER

if TYPE_CHECKING:
    from flyteform_dataplane.kubernetes.api import KubernetesApi
    from flyteform_dataplane.sync.resources import Json, Resource


class ServerSideApplier:
    """Applies resources. What somebody else has made is added to, and never taken from them."""

    def __init__(self, api: KubernetesApi, namespaces: Namespaces | None = None) -> None:
        """`namespaces` learns of those that are applied: executions may come there."""
        self._api = api
        self._namespaces = namespaces or Namespaces()

    async def apply(self, resource: Resource) -> None:
        """Make the resource what it shall be; `ConflictError` names the fields that are somebody else's."""
        own = await self._is_own(resource.path)
        body = resource.body if own else _unmarked(resource.body)
        try:
            await self._api.apply(resource.path, body, manager=OWNER, force=own)
        except ConflictError as error:
            raise ConflictError(
                f"somebody else has made it, with other values: {error.message}",
                remedy=f"give it the label {MANAGED_BY}={OWNER}, or keep it out of the templates",
            ) from error
        if resource.kind == "Namespace":
            self._namespaces.learn([resource.name])

    async def _is_own(self, path: str) -> bool:
        """Say whether it is ours, or not there yet."""
        try:
            found = await self._api.get(path)
        except NotFoundError:
            return True
        labels = found.get("metadata", {}).get("labels") or {}
        return bool(labels.get(MANAGED_BY) == OWNER)


def _unmarked(body: Json) -> Json:
    """Return a resource without the mark: what is added to somebody's would be ours the next time, and be forced."""
    metadata = body["metadata"]
    labels = {name: value for name, value in metadata["labels"].items() if name != MANAGED_BY}
    return {**body, "metadata": {**metadata, "labels": labels}}
