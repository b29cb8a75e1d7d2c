"""One attempt as a cluster is asked for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteidl.core.tasks_pb2 import TaskTemplate

    from flyteform_dataplane.kubernetes.profile import Json


@dataclass(frozen=True, slots=True)
class PodRequest:
    """One attempt, ready to be a pod.

    `name` is the attempt's (execution, node, index and attempt joined by slashes). `task` has the node's overrides
    applied, `arguments` are its command and its arguments with every template filled in, apart as the task has them.
    `template` is the pod template that the task or the cluster names, if there is one.
    """

    name: str
    namespace: str
    task: TaskTemplate
    command: tuple[str, ...]
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    service_account: str = ""
    interruptible: bool = False
    template: Json | None = None
