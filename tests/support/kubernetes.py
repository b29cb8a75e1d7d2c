"""The real cluster that `make test-cluster` starts around the tests, and what tests ask of it."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from support.platform import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def kubectl(*arguments: str, given: Mapping[str, Any] | None = None) -> str:
    """Run kubectl as the administrator; `given` goes to its standard input. Fails with its own message."""
    ended = subprocess.run(
        ["kubectl", *arguments],
        input=None if given is None else json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def get(kind: str, name: str, namespace: str = "default") -> dict[str, Any]:
    """Return an object."""
    return dict(json.loads(kubectl("get", kind, name, f"--namespace={namespace}", "--output=json")))


@contextmanager
def quota(name: str, namespace: str, hard: Mapping[str, str]) -> Iterator[None]:
    """Limit a namespace: what is made meanwhile is measured by it, as it has been counted before."""
    metadata = {"name": name, "namespace": namespace}
    made = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": dict(hard)}}
    kubectl("apply", "-f", "-", given=made)
    try:
        # Until then whoever admits pods may not have heard of it.
        wait_until(lambda: _counted(name, namespace) == hard, seconds=60, what=f"quota {name} holds")
        yield
    finally:
        kubectl("delete", "resourcequota", name, f"--namespace={namespace}")


def _counted(name: str, namespace: str) -> object:
    return get("resourcequota", name, namespace).get("status", {}).get("hard")


def pod(name: str, *command: str, image: str, **container: object) -> dict[str, Any]:
    """Return a pod that runs one command once."""
    main = {"name": "main", "image": image, "imagePullPolicy": "Never", "command": list(command), **container}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [main]},
    }


def ended(name: str) -> dict[str, Any]:
    """Wait until a pod has ended, and return it."""

    def over() -> bool:
        return get("pod", name)["status"].get("phase") in ("Succeeded", "Failed")

    wait_until(over, seconds=60, what=f"pod {name} has ended")
    return get("pod", name)
