"""A provider of Kubernetes resources for the tests' engine: server-side apply on a real API server, by kubectl.

It waits as Pulumi's own does: for definitions to be established, rollouts to be complete, jobs to have succeeded, and
what is deleted to be gone.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2

from support.pulumi.steps import EngineError
from support.pulumi.wire import has_unknown, manifest, plain, read, write

if TYPE_CHECKING:
    from support.pulumi.wire import Json

_SECONDS = 300
_WAITS = {
    "CustomResourceDefinition": ("wait", "--for=condition=Established"),
    "Job": ("wait", "--for=condition=Complete"),
    "Deployment": ("rollout", "status"),
}
# What cannot be changed in place.
_FIXED = {
    "Job": ("spec",),
    "Deployment": ("spec.selector",),
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
}


class KubernetesPlugin:
    """A plugin without a process; one for each provider that a program declares.

    On a cluster without nodes no pod ever runs: `pods` tells whether to wait for those of jobs and deployments.
    """

    def __init__(self, *, pods: bool = True) -> None:
        self.stub: Any = _Resources(pods=pods)

    async def stop(self) -> None:
        """Remove the kubeconfig."""
        self.stub.close()


class _Resources:
    """The calls of Pulumi's ResourceProvider service."""

    def __init__(self, *, pods: bool) -> None:
        self._pods = pods
        self._folder = tempfile.TemporaryDirectory()
        self._kubeconfig = Path(self._folder.name) / "kubeconfig"

    def close(self) -> None:
        """Remove the kubeconfig."""
        self._folder.cleanup()

    async def CheckConfig(self, request: Any) -> provider_pb2.CheckResponse:
        return provider_pb2.CheckResponse(inputs=request.news)

    async def DiffConfig(self, _: Any) -> provider_pb2.DiffResponse:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    async def Configure(self, request: Any) -> provider_pb2.ConfigureResponse:
        self._kubeconfig.touch(mode=0o600)
        self._kubeconfig.write_text(str(plain(read(request.args)).get("kubeconfig", "")))
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    async def Check(self, request: Any) -> provider_pb2.CheckResponse:
        return provider_pb2.CheckResponse(inputs=request.news)

    async def Diff(self, request: Any) -> provider_pb2.DiffResponse:
        old, new = plain(read(request.old_inputs)), plain(read(request.news))
        if old == new:
            return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)
        changed = [key for key in {*old, *new} if old.get(key) != new.get(key)]
        places = ("metadata.name", "metadata.namespace", *_FIXED.get(new["kind"], ()))
        replaces = [place for place in places if _at(old, place) != _at(new, place)]
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME, diffs=changed, replaces=replaces, deleteBeforeReplace=True
        )

    async def Create(self, request: Any) -> provider_pb2.CreateResponse:
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        made = await self._applied(plain(read(request.properties)))
        return provider_pb2.CreateResponse(id=_identifier(made), properties=write(made))

    async def Update(self, request: Any) -> provider_pb2.UpdateResponse:
        if request.preview:
            return provider_pb2.UpdateResponse(properties=request.news)
        return provider_pb2.UpdateResponse(properties=write(await self._applied(plain(read(request.news)))))

    async def Read(self, request: Any) -> provider_pb2.ReadResponse:
        inputs = plain(read(request.inputs))
        kind = request.urn.split("::")[2].rpartition("$")[2].rpartition(":")[2]
        namespace, _, name = request.id.rpartition("/")
        where = [f"--namespace={namespace}"] if namespace else []
        code, out = await self._kubectl("get", kind, name, *where, "--ignore-not-found", "--output=json")
        if code or not out.strip():
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(id=request.id, inputs=write(inputs), properties=write(json.loads(out)))

    async def Delete(self, request: Any) -> empty_pb2.Empty:
        kind = plain(read(request.old_inputs))["kind"]
        namespace, _, name = request.id.rpartition("/")
        where = [f"--namespace={namespace}"] if namespace else []
        words = ("delete", kind, name, *where, "--ignore-not-found", f"--timeout={_SECONDS}s", "--cascade=foreground")
        code, out = await self._kubectl(*words)
        # With its definition or its namespace a resource is gone, too.
        if code and "the server doesn't have a resource type" not in out:
            raise EngineError(out)
        return empty_pb2.Empty()

    async def Cancel(self, _: Any) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    async def _applied(self, properties: Json) -> Json:
        if has_unknown(properties):
            raise EngineError(f"{properties['kind']} has unknown values")
        properties.setdefault("metadata", {}).setdefault("name", f"unnamed-{uuid.uuid4().hex[:8]}")
        given = manifest(_without_nothing(properties))
        words = ("apply", "--server-side", "--field-manager=pulumi", "--force-conflicts", "--output=json", "-f", "-")
        code, out = await self._kubectl(*words, given=given)
        if code:
            raise EngineError(out)
        await self._settled(given)
        found: Json = json.loads(out)
        return found

    async def _settled(self, given: Json) -> None:
        words = _WAITS.get(given["kind"])
        if words is None or (not self._pods and given["kind"] in ("Job", "Deployment")):
            return
        about = f"{given['kind'].lower()}/{given['metadata']['name']}"
        where = [f"--namespace={given['metadata']['namespace']}"] if "namespace" in given["metadata"] else []
        code, out = await self._kubectl(*words, about, *where, f"--timeout={_SECONDS}s")
        if code:
            raise EngineError(f"{about}: {out}")

    async def _kubectl(self, *words: str, given: Json | None = None) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            "kubectl",
            f"--kubeconfig={self._kubeconfig}",
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(os.environ),
        )
        out, err = await process.communicate(None if given is None else json.dumps(given).encode())
        return process.returncode or 0, (out if not process.returncode else err).decode()


def _identifier(made: Json) -> str:
    metadata = made["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if "namespace" in metadata else str(metadata["name"])


def _at(value: Any, place: str) -> Any:
    for part in place.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _without_nothing(value: Any) -> Any:
    match value:
        case dict():
            return {key: _without_nothing(each) for key, each in value.items() if each is not None}
        case list():
            return [_without_nothing(each) for each in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value
