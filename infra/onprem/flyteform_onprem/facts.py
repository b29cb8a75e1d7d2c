"""What a cluster is like: asked of its API server once, before anything is made."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flyteform.errors import FlyteformError, NotFoundError
from flyteform_dataplane.kubernetes.api import connect
from flyteform_platform.errors import PlatformError

if TYPE_CHECKING:
    from flyteform_dataplane.kubernetes.api import KubernetesApi

# A file with facts that were saved before, for previews where the cluster cannot be reached.
FILE_VARIABLE: Final = "FLYTEFORM_CLUSTER_FACTS"
_DEFAULT: Final = "storageclass.kubernetes.io/is-default-class"
_ASKED: Final = (
    ("", "namespaces", "create"),
    ("apiextensions.k8s.io", "customresourcedefinitions", "create"),
    ("rbac.authorization.k8s.io", "clusterroles", "create"),
    ("rbac.authorization.k8s.io", "clusterroles", "bind"),
    ("rbac.authorization.k8s.io", "clusterroles", "escalate"),
)


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """Facts of a cluster; `issuer` and `jwks` (a JSON text) are those of its service-account tokens.

    `refused` are verbs and resources that this account may not use though an installation does.
    """

    version: tuple[int, int]
    issuer: str
    jwks: str
    storage_classes: tuple[str, ...] = ()
    default_storage_class: str = ""
    groups: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    nodes: int = 0


def cluster_facts(kubeconfig: str, context: str = "") -> ClusterFacts:
    """Ask the cluster of a kubeconfig (its text); `PlatformError` if it does not answer."""
    saved = os.environ.get(FILE_VARIABLE)
    if saved:
        return read_facts(Path(saved).read_text())
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as thread:
        file = Path(folder) / "kubeconfig"
        file.touch(mode=0o600)
        file.write_text(_in_context(kubeconfig, context))
        # Pulumi's own event loop runs in this thread.
        return thread.submit(_ask, file).result()


def read_facts(text: str) -> ClusterFacts:
    """Return facts that were written as JSON."""
    found: dict[str, Any] = json.loads(text)
    plain: dict[str, Any] = {key: tuple(each) if isinstance(each, list) else each for key, each in found.items()}
    return ClusterFacts(**plain)


def write_facts(facts: ClusterFacts) -> str:
    """Return facts as JSON."""
    return json.dumps(asdict(facts), indent=1)


def _in_context(kubeconfig: str, context: str) -> str:
    import yaml

    document = yaml.safe_load(kubeconfig)
    return yaml.safe_dump({**document, "current-context": context or document.get("current-context", "")})


def _ask(file: Path) -> ClusterFacts:
    return asyncio.run(_asked(file))


async def _asked(file: Path) -> ClusterFacts:
    try:
        async with connect(file) as api:
            return await _facts(api)
    except FlyteformError as error:
        raise PlatformError(f"the cluster of the kubeconfig does not answer: {error.message}") from error


async def _facts(api: KubernetesApi) -> ClusterFacts:
    version = await api.get("/version")
    classes = (await api.get("/apis/storage.k8s.io/v1/storageclasses"))["items"]
    default = [each for each in classes if each["metadata"].get("annotations", {}).get(_DEFAULT) == "true"]
    groups = (await api.get("/apis"))["groups"]
    nodes = (await api.get("/api/v1/nodes"))["items"]
    discovery = await api.get("/.well-known/openid-configuration")
    return ClusterFacts(
        version=(int(version["major"]), int("".join(filter(str.isdigit, version["minor"])))),
        issuer=discovery["issuer"],
        jwks=json.dumps(await _keys(api), sort_keys=True),
        storage_classes=tuple(sorted(each["metadata"]["name"] for each in classes)),
        default_storage_class=default[0]["metadata"]["name"] if default else "",
        groups=tuple(sorted(each["name"] for each in groups)),
        refused=tuple([each for each in _ASKED_TEXTS if not await _may(api, each)]),
        nodes=len(nodes),
    )


async def _keys(api: KubernetesApi) -> dict[str, Any]:
    try:
        return await api.service_account_keys()
    except NotFoundError:
        return {"keys": []}


_ASKED_TEXTS: Final = {f"{verb} {resource}": (group, resource, verb) for group, resource, verb in _ASKED}


async def _may(api: KubernetesApi, text: str) -> bool:
    group, resource, verb = _ASKED_TEXTS[text]
    attributes = {"group": group, "resource": resource, "verb": verb}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = await api.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
    return bool(answer["status"].get("allowed"))
