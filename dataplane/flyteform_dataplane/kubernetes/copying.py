"""A pod whose command knows nothing of Flyte: a container that downloads before it, and one that uploads after it.

The uploader is told how the command has ended by an annotation, which the operator writes: so it needs to see neither
the command's processes nor the API server, and nothing is uploaded for a command that failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flyteidl.core.tasks_pb2 import IOStrategy

from flyteform_dataplane.copilot.plans import Part, arguments, places
from flyteform_dataplane.errors import UserError
from flyteform_dataplane.kubernetes.profile import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flyteform_dataplane.kubernetes.profile import Json, PodProfile
    from flyteform_dataplane.ports import Copying, PodRequest

DOWNLOADER: Final = "flyte-copilot-downloader"
UPLOADER: Final = "flyte-copilot-uploader"
# With which code the primary container has ended; written when others still run in its pod.
EXIT_ANNOTATION: Final = "flyteform.dev/primary-exit-code"
_INPUTS, _OUTPUTS, _END = "flyte-inputs", "flyte-outputs", "flyte-copilot-end"
_END_FOLDER, _END_FILE = "/var/run/flyteform", "exit-code"


def add_copying(spec: Json, request: PodRequest, profile: PodProfile, primary: str) -> str:
    """Add what copies to a pod's spec; return the name of the container that runs first, empty if there is none."""
    copying = request.copying
    if copying is None:
        return ""
    if not profile.copilot.image:
        raise UserError(
            f"task {request.task.id.name} is a raw container, which this cluster cannot copy data for",
            remedy="whoever runs the cluster names an image in its profile, as copilot.image",
        )
    inputs, outputs = places(copying.config)
    first = ""
    if _downloads(request, copying):
        _share(spec, primary, _INPUTS, inputs, {"emptyDir": {}})
        downloader = _container(DOWNLOADER, "download", copying, profile)
        downloader["volumeMounts"] = [{"name": _INPUTS, "mountPath": inputs}]
        spec.setdefault("initContainers", []).append(downloader)
        first = DOWNLOADER
    if _uploads(request, copying):
        _share(spec, primary, _OUTPUTS, outputs, {"emptyDir": {}})
        uploader = _container(UPLOADER, "upload", copying, profile)
        mounts = {_OUTPUTS: outputs, _END: _END_FOLDER}
        uploader["volumeMounts"] = [{"name": name, "mountPath": path} for name, path in mounts.items()]
        spec["volumes"].append({"name": _END, "downwardAPI": {"items": [_exit_code()]}})
        spec["containers"].append(uploader)
    return first


def _downloads(request: PodRequest, copying: Copying) -> bool:
    wanted = copying.config.io_strategy.download_mode != IOStrategy.DO_NOT_DOWNLOAD
    return wanted and bool(request.task.interface.inputs.variables)


def _uploads(request: PodRequest, copying: Copying) -> bool:
    wanted = copying.config.io_strategy.upload_mode != IOStrategy.DO_NOT_UPLOAD
    return wanted and bool(request.task.interface.outputs.variables)


def _container(name: str, part: Part, copying: Copying, profile: PodProfile) -> Json:
    copilot = profile.copilot
    amounts = {"cpu": copilot.cpu, "memory": copilot.memory}
    told = f"{_END_FOLDER}/{_END_FILE}"
    return {
        "name": name,
        "image": copilot.image,
        "command": list(copilot.command),
        "args": [*arguments(copying, part, exit_code_file=told, timeout=copilot.timeout.total_seconds())],
        "env": [{"name": variable, "value": value} for variable, value in {**PATIENCE, **profile.environment}.items()],
        "resources": {"requests": dict(amounts), "limits": amounts},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _exit_code() -> Json:
    return {"path": _END_FILE, "fieldRef": {"fieldPath": f"metadata.annotations['{EXIT_ANNOTATION}']"}}


def _share(spec: Json, primary: str, name: str, path: str, source: Json) -> None:
    """Give the primary container a folder that another one uses too."""
    spec.setdefault("volumes", []).append({"name": name, **source})
    for container in _named(spec, primary):
        container.setdefault("volumeMounts", []).append({"name": name, "mountPath": path})


def _named(spec: Json, name: str) -> Iterator[Json]:
    return (container for container in spec["containers"] if container["name"] == name)
