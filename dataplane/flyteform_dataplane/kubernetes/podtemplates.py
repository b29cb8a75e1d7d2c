"""The PodTemplates of a cluster, by which whoever runs it says what the pods of tasks have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform_dataplane.errors import UserError
from flyteform_dataplane.kubernetes.scopes import Informers, Namespaces

if TYPE_CHECKING:
    from flyteidl.core.tasks_pb2 import TaskTemplate

    from flyteform_dataplane.kubernetes.informer import Collection
    from flyteform_dataplane.kubernetes.profile import Json, PodProfile


class PodTemplates:
    """Knows them all, as they are now: a change holds for the pods that are made after it."""

    def __init__(self, api: Collection, profile: PodProfile, namespaces: Namespaces | None = None) -> None:
        self._default = profile.default_pod_template_name
        self._namespace = profile.pod_template_namespace
        self._informer = Informers(
            api, "/api/v1/podtemplates", lambda _, __: None, namespaces or Namespaces(), besides=[self._namespace]
        )

    async def open(self) -> None:
        """Begin to watch; returns when all that there are have been seen."""
        self._informer.start()
        await self._informer.synced()

    async def close(self) -> None:
        """Watch no more."""
        await self._informer.stop()

    def ailment(self) -> str:
        """Say that nothing is heard of them any more, if that is so."""
        return self._informer.ailment()

    async def known(self, namespace: str) -> None:
        """Wait until those that a pod of a namespace may have are known, should it be one that was learned just now."""
        await self._informer.synced_in(namespace)

    def find(self, task: TaskTemplate, namespace: str) -> Json | None:
        """Return metadata and spec of the template of a task's pod: the one that it names, or the cluster's default.

        `UserError` where the task names one that is neither in its namespace nor in the one that serves all.
        """
        named = task.metadata.pod_template_name
        found = self._get(namespace, named or self._default)
        if found is None and named:
            raise UserError(
                f"task {task.id.name} names the pod template {named!r}, which is neither in {namespace} nor in "
                f"{self._namespace}",
                remedy=f"make it: kubectl apply --namespace={namespace}, kind PodTemplate",
            )
        return None if found is None else found.get("template", {})

    def _get(self, namespace: str, name: str) -> Json | None:
        if not name:
            return None
        return self._informer.get(namespace, name) or self._informer.get(self._namespace, name)
