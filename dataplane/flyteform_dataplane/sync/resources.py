"""Which resources may be kept, and where each lies: decided before anything is written."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from flyteform.errors import InvalidInputError
from flyteform_dataplane.sync.paths import COLLECTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

Json: TypeAlias = dict[str, Any]

MANAGED_BY = "app.kubernetes.io/managed-by"
OWNER = "flyteform-sync"
# Kubernetes keeps such namespaces for itself.
RESERVED = "kube-"


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource that shall be there: its path on the API server, and its content with the mark of its owner."""

    kind: str
    namespace: str
    name: str
    path: str
    body: Json = field(hash=False)

    def __str__(self) -> str:
        """Return its name for people."""
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a resource; `resource` is its name for people."""

    resource: str
    message: str


def read_resources(texts: Sequence[str]) -> tuple[list[Resource], list[Problem]]:
    """Return those that may be kept, in their order, and what is wrong with the others.

    Only namespaces and a few kinds in namespaces of the same set are kept: whoever says what the platform wants cannot
    reach secrets, workloads, or what others have in the cluster.
    """
    found: list[Resource] = []
    problems: list[Problem] = []
    for number, text in enumerate(texts):
        try:
            found.append(_read(text, number))
        except InvalidInputError as error:
            problems.append(Problem(f"resource {number}", error.message))
    spaces = {one.name for one in found if one.kind == "Namespace"}
    kept = [one for one in found if one.kind == "Namespace" or one.namespace in spaces]
    outside = [one for one in found if one not in kept]
    problems += [Problem(str(one), f"namespace {one.namespace!r} is not the platform's") for one in outside]
    return kept, problems


def _read(text: str, number: int) -> Resource:
    try:
        body = json.loads(text)
        kind, version = str(body["kind"]), str(body["apiVersion"])
        metadata = body["metadata"]
        name, namespace = str(metadata["name"]), str(metadata.get("namespace", ""))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInputError(f"resource {number} is no Kubernetes resource") from error
    where = COLLECTIONS.get((version, kind))
    if where is None:
        raise InvalidInputError(f"{kind} of {version} is nothing that the platform keeps in clusters")
    if where.namespaced != bool(namespace):
        wrong = "needs a namespace" if where.namespaced else "has no namespace"
        raise InvalidInputError(f"{kind} {name} {wrong}")
    if kind == "Namespace" and name.startswith(RESERVED):
        raise InvalidInputError(f"namespace {name} is the cluster's own: no project's domain may have it")
    labels = {**(metadata.get("labels") or {}), MANAGED_BY: OWNER}
    marked = {**body, "metadata": {**metadata, "labels": labels}}
    return Resource(kind, namespace, name, where.path(namespace, name), marked)
