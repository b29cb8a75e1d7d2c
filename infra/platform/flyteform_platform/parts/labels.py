"""The labels that Kubernetes recommends, by which services, policies and people find pods."""

from __future__ import annotations

from typing import Final

PART_OF: Final = "flyteform"
COMPONENT: Final = "app.kubernetes.io/component"
_RESTRICTED: Final = "pod-security.kubernetes.io/"


def labels(component: str, **more: str) -> dict[str, str]:
    """Return the labels of an object of a component."""
    return {
        "app.kubernetes.io/name": PART_OF,
        COMPONENT: component,
        "app.kubernetes.io/part-of": PART_OF,
        "app.kubernetes.io/managed-by": "pulumi",
        **more,
    }


def selector(component: str) -> dict[str, str]:
    """Return those labels that select a component's pods: they never change."""
    return {"app.kubernetes.io/name": PART_OF, COMPONENT: component}


def namespace_labels(level: str = "restricted") -> dict[str, str]:
    """Return the labels by which the API server refuses pods that want more than the level of pod security allows."""
    return {
        **{f"{_RESTRICTED}{mode}": level for mode in ("enforce", "audit", "warn")},
        "app.kubernetes.io/part-of": PART_OF,
        "app.kubernetes.io/managed-by": "pulumi",
    }


def in_namespace(name: str) -> dict[str, str]:
    """Return the label by which policies select a namespace; the API server sets it."""
    return {"kubernetes.io/metadata.name": name}
