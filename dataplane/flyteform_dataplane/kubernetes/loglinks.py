"""Where people read what a pod prints: the cluster's templates of addresses, with Flyte's variables filled in."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flyteform_dataplane.kubernetes.pods import ATTEMPT_ANNOTATION, PRIMARY_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flyteform_dataplane.kubernetes.profile import Json, LogLink

_VARIABLE = re.compile(r"\{\{\s*[.$]\s*(?P<name>\w+)\s*\}\}")


def log_links(pod: Json, links: Sequence[LogLink], now: datetime) -> str:
    """Return lines of a name, a tab and an address; empty where the cluster has no such templates."""
    if not links:
        return ""
    variables = _variables(pod, now)
    found = [(link.display_name, _filled(uri, variables)) for link in links for uri in link.template_uris]
    return "\n".join(f"{name}\t{uri}" for name, uri in found)


def _filled(template: str, variables: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: variables.get(found["name"].lower(), found[0]), template)


def _variables(pod: Json, now: datetime) -> dict[str, str]:
    """Return what templates may name, in lower case: Flyte looks at no case there."""
    metadata, labels = pod["metadata"], pod["metadata"].get("labels", {})
    primary = metadata.get("annotations", {}).get(PRIMARY_ANNOTATION, "")
    attempt = metadata.get("annotations", {}).get(ATTEMPT_ANNOTATION, "").split("/")
    started = datetime.fromisoformat(metadata.get("creationTimestamp") or now.isoformat())
    named = {
        "podName": metadata["name"],
        "podUID": metadata.get("uid", ""),
        "namespace": metadata["namespace"],
        "containerName": primary,
        "containerId": _container_id(pod, primary),
        "logName": metadata["name"],
        "hostname": pod.get("spec", {}).get("hostname", ""),
        "nodeName": pod.get("spec", {}).get("nodeName", ""),
        "podRFC3339StartTime": _rfc3339(started),
        "podRFC3339FinishTime": _rfc3339(now),
        "podUnixStartTime": str(int(started.timestamp())),
        "podUnixFinishTime": str(int(now.timestamp())),
        "executionProject": labels.get("project", ""),
        "executionDomain": labels.get("domain", ""),
        "executionName": labels.get("execution-id", ""),
        "nodeID": labels.get("node-id", ""),
        "generatedName": "-".join(attempt[2:]),
        "taskRetryAttempt": attempt[-1],
    }
    return {name.lower(): value for name, value in named.items()}


def _container_id(pod: Json, name: str) -> str:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    found = next((one.get("containerID", "") for one in statuses if one["name"] == name), "")
    return str(found).rpartition("//")[2]


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
