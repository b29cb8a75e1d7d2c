"""Pulumi's ResourceMonitor and Engine for recordings: notes every registration, and answers as a cloud would."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import empty_pb2
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, resource_pb2, resource_pb2_grpc

from support.pulumi.wire import OUTPUT, SECRET, SIGNATURE, UNKNOWN, plain, read, write
from support.recording import strict

if TYPE_CHECKING:
    from types import ModuleType

    from support.recording.recorder import Asked

_STACK = "pulumi:pulumi:Stack"
_REFERENCE = "pulumi:pulumi:StackReference"
_FEATURES = frozenset({"secrets", "resourceReferences", "outputValues", "aliasSpecs", "deletedWith", "replaceWith"})
_FEATURE_NAMES = frozenset(
    f"RESOURCE_MONITOR_FEATURE_{each}"
    for each in ("SECRETS", "RESOURCE_REFERENCES", "OUTPUT_VALUES", "ALIAS_SPECS", "DELETED_WITH", "REPLACE_WITH")
)


class Recorder(resource_pb2_grpc.ResourceMonitorServicer, engine_pb2_grpc.EngineServicer):
    """Both services of an engine. `document` is the recording."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._root = ""
        self.document: dict[str, Any] = {"resources": [], "invokes": [], "outputs": {}, "problems": [], "said": []}

    # The engine.
    def GetRootResource(self, _: object, __: object) -> engine_pb2.GetRootResourceResponse:
        """Name the stack."""
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    def SetRootResource(self, request: Any, _: object) -> engine_pb2.SetRootResourceResponse:
        """Take the stack's name."""
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()

    def Log(self, request: Any, _: object) -> empty_pb2.Empty:
        """Note what the program says."""
        if request.severity:
            self.document["said"].append(request.message)
        return empty_pb2.Empty()

    # The monitor.
    def GetDeploymentInfo(self, _: object, __: object) -> resource_pb2.DeploymentInfo:
        """Tell what is deployed."""
        known = [value for name, value in resource_pb2.ResourceMonitorFeature.items() if name in _FEATURE_NAMES]
        return resource_pb2.DeploymentInfo(
            project=self._asked.project,
            stack=self._asked.stack,
            organization="organization",
            dryRun=self._asked.preview,
            supportedFeatures=known,
        )

    def SupportsFeature(self, request: Any, _: object) -> resource_pb2.SupportsFeatureResponse:
        """Tell which parts of the protocol there are."""
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in _FEATURES)

    def SignalAndWaitForShutdown(self, _: object, __: object) -> empty_pb2.Empty:
        """Nothing is waited for."""
        return empty_pb2.Empty()

    def RegisterResourceOutputs(self, request: Any, _: object) -> empty_pb2.Empty:
        """Note the stack's outputs."""
        if f"::{_STACK}::" in request.urn:
            self.document["outputs"] = _values(read(request.outputs))
        return empty_pb2.Empty()

    def RegisterResource(self, request: Any, _: object) -> resource_pb2.RegisterResourceResponse:
        """Note a resource and make up what the cloud would add to it."""
        urn = self._urn(request.type, request.name, request.parent)
        inputs = _values(read(request.object))
        if request.type != _STACK:
            self.document["problems"] += [f"{urn}: {each}" for each in strict.problems(request.type, inputs)]
            self.document["resources"].append(_noted(request, urn, inputs))
        if not request.custom and not request.remote:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        identifier, outputs = self._made(request, inputs)
        return resource_pb2.RegisterResourceResponse(urn=urn, id=identifier, object=write(outputs))

    def ReadResource(self, request: Any, context: grpc.ServicerContext) -> resource_pb2.ReadResourceResponse:
        """Answer for another stack from what was recorded of it, and for other resources from the tables."""
        urn = self._urn(request.type, request.name, request.parent)
        if request.type != _REFERENCE:
            found = {**_values(read(request.properties)), **self._table_outputs(request, {}, request.id)}
            return resource_pb2.ReadResourceResponse(urn=urn, properties=write(found))
        outputs = self._asked.references.get(request.id)
        if outputs is None:
            message = f"no recording of the stack {request.id}: {sorted(self._asked.references)}"
            self.document["problems"].append(message)
            context.abort(grpc.StatusCode.NOT_FOUND, message)
        secret = [key for key, value in outputs.items() if _has_secret(value)]
        self.document["resources"].append({"urn": urn, "type": _REFERENCE, "name": request.name, "inputs": {}})
        answer = {"name": request.id, "outputs": outputs, "secretOutputNames": secret}
        return resource_pb2.ReadResourceResponse(urn=urn, properties=write(answer))

    def Invoke(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Answer a function from the tables."""
        arguments = plain(read(request.args))
        self.document["invokes"].append({"token": request.tok, "arguments": arguments})
        answer = getattr(_table(request.tok), "INVOKES", {}).get(request.tok)
        if answer is None:
            message = f"no answer for the function {request.tok}: add it to INVOKES of its table"
            self.document["problems"].append(message)
            context.abort(grpc.StatusCode.NOT_FOUND, message)
        # Its name is `return`, a word of Python's.
        return provider_answer(answer(arguments))

    def _made(self, request: Any, inputs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        if self._asked.preview:
            # Where outputs have another shape than inputs, a provider does not hand these back.
            unknown = getattr(_table(request.type), "UNKNOWN_OUTPUTS", {}).get(request.type, ())
            return "", {**inputs, **dict.fromkeys(unknown, UNKNOWN)}
        identifier = f"{request.name}-id"
        outputs = self._table_outputs(request, inputs, identifier)
        return str(outputs.pop("id", identifier)), {**inputs, **outputs}

    def _table_outputs(self, request: Any, inputs: dict[str, Any], identifier: str) -> dict[str, Any]:
        table = _table(request.type)
        rule = getattr(table, "OUTPUTS", {}).get(request.type)
        return {} if rule is None else dict(rule(request.name, {**plain(inputs), "id": identifier}))

    def _urn(self, token: str, name: str, parent: str) -> str:
        chain = "" if not parent or f"::{_STACK}::" in parent else f"{parent.split('::')[2]}$"
        return f"urn:pulumi:{self._asked.stack}::{self._asked.project}::{chain}{token}::{name}"


def provider_answer(values: dict[str, Any]) -> Any:
    """Return the answer of a function."""
    from pulumi.runtime.proto import provider_pb2

    answer = provider_pb2.InvokeResponse()
    getattr(answer, "return").CopyFrom(write(values))
    return answer


def _table(token: str) -> ModuleType | None:
    package = token.partition(":")[0].replace("-", "_")
    try:
        return importlib.import_module(f"support.recording.tables.{package}")
    except ModuleNotFoundError:
        return None


def _noted(request: Any, urn: str, inputs: dict[str, Any]) -> dict[str, Any]:
    options = {
        "parent": "" if f"::{_STACK}::" in request.parent else request.parent,
        "provider": request.provider.rpartition("::")[0],
        "providers": {key: each.rpartition("::")[0] for key, each in request.providers.items()},
        "protect": request.protect,
        "remote": request.remote,
        "component": not request.custom and not request.remote,
        "ignoreChanges": sorted(request.ignoreChanges),
        "replaceOnChanges": sorted(request.replaceOnChanges),
        "dependencies": sorted(request.dependencies),
        "retainOnDelete": request.retainOnDelete,
        "deleteBeforeReplace": request.deleteBeforeReplace,
        "deletedWith": request.deletedWith,
        "replaceWith": sorted(request.replace_with),
        "importId": request.importId,
        "additionalSecretOutputs": sorted(request.additionalSecretOutputs),
        "customTimeouts": MessageToDict(request.customTimeouts),
    }
    kept = {key: value for key, value in options.items() if value}
    return {"urn": urn, "type": request.type, "name": request.name, "inputs": inputs, **kept}


def _values(value: Any) -> Any:
    """Return values with secrets marked, and without what they depend on; whole numbers are whole."""
    match value:
        case dict() if value.get(SIGNATURE) == OUTPUT:
            held = _values(value.get("value", UNKNOWN))
            return {SIGNATURE: SECRET, "value": held} if value.get("secret") else held
        case dict():
            return {key: _values(each) for key, each in value.items()}
        case list():
            return [_values(each) for each in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def _has_secret(value: Any) -> bool:
    match value:
        case dict():
            return value.get(SIGNATURE) == SECRET or any(map(_has_secret, value.values()))
        case list():
            return any(map(_has_secret, value))
        case _:
            return False
