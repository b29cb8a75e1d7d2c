"""Where people read what a pod prints: the cluster's templates of addresses, with Flyte's variables filled in."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flyteform_dataplane.kubernetes.pods import ATTEMPT_ANNOTATION, PRIMARY_ANNOTATION
from flyteform_dataplane.kubernetes.tasklinks import LINKS_ANNOTATION, pairs, read_links

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flyteform_dataplane.kubernetes.profile import Json, LogLink
    from flyteform_dataplane.kubernetes.tasklinks import Pair

_VARIABLE = re.compile(r"\{\{\s*[.$]\s*(?P<name>\w+)\s*\}\}")


def log_links(pod: Json, links: Sequence[LogLink], now: datetime) -> str:
    """Return lines of a name, a tab and an address; empty where neither the cluster nor the pod has such templates."""
    templates = _templates(pod, links)
    if not templates:
        return ""
    variables = _variables(pod, now)
    return "\n".join(f"{_filled(name, variables)}\t{_filled(uri, variables)}" for name, uri in templates)


def _templates(pod: Json, links: Sequence[LogLink]) -> list[Pair]:
    """Return those of the pod's own task, or else the cluster's."""
    told = pod["metadata"].get("annotations", {}).get(LINKS_ANNOTATION, "")
    with contextlib.suppress(ValueError):  # somebody else has written it
        return read_links(told) if told else list(pairs(links))
    return list(pairs(links))


def _filled(template: str, variables: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: variables.get(found["name"].lower(), found[0]), template)


def _variables(pod: Json, now: datetime) -> dict[str, str]:
    """Return what templates may name, in lower case: Flyte looks at no case there."""
    metadata, annotations = pod["metadata"], pod["metadata"].get("annotations", {})
    primary, attempt = annotations.get(PRIMARY_ANNOTATION, ""), annotations.get(ATTEMPT_ANNOTATION, "").split("/")
    project, domain, execution, node = [*attempt, "", "", "", ""][:4]
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
        "executionProject": project,
        "executionDomain": domain,
        "executionName": execution,
        "nodeID": node,
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
