"""The engine's side of a running program: each resource that it registers is checked, compared and brought about."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.protobuf import empty_pb2
from google.rpc import status_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, resource_pb2, resource_pb2_grpc

from support.pulumi.states import Saved
from support.pulumi.steps import EngineError, Message, Step
from support.pulumi.wire import read, write

if TYPE_CHECKING:
    from support.pulumi.engine import Run

_STACK = "pulumi:pulumi:Stack"
_FEATURES = frozenset({"secrets", "resourceReferences", "outputValues", "aliasSpecs", "deletedWith", "replaceWith"})
_FEATURE_NAMES = frozenset(
    f"RESOURCE_MONITOR_FEATURE_{each}"
    for each in ("SECRETS", "RESOURCE_REFERENCES", "OUTPUT_VALUES", "ALIAS_SPECS", "DELETED_WITH", "REPLACE_WITH")
)
_KINDS = provider_pb2.PropertyDiff.Kind
_SEVERITIES = engine_pb2.LogSeverity


class EngineService(engine_pb2_grpc.EngineServicer):
    """Pulumi's Engine service: takes messages and knows the root resource."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._root = ""

    async def Log(self, request: engine_pb2.LogRequest, _: object) -> empty_pb2.Empty:
        severity = _SEVERITIES.Name(request.severity)
        if severity != "DEBUG":
            self._run.result.messages.append(Message(severity, request.message, request.urn))
        return empty_pb2.Empty()

    async def GetRootResource(self, _: object, __: object) -> engine_pb2.GetRootResourceResponse:
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    async def SetRootResource(
        self, request: engine_pb2.SetRootResourceRequest, _: object
    ) -> engine_pb2.SetRootResourceResponse:
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()


class MonitorService(resource_pb2_grpc.ResourceMonitorServicer):
    """Pulumi's ResourceMonitor service."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def GetDeploymentInfo(self, _: object, __: object) -> resource_pb2.DeploymentInfo:
        feature = resource_pb2.ResourceMonitorFeature
        known = [value for name, value in feature.items() if name in _FEATURE_NAMES]
        return resource_pb2.DeploymentInfo(
            project="program", stack="test", organization="test", dryRun=self._run.preview, supportedFeatures=known
        )

    async def SupportsFeature(
        self, request: resource_pb2.SupportsFeatureRequest, _: object
    ) -> resource_pb2.SupportsFeatureResponse:
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in _FEATURES)

    async def SignalAndWaitForShutdown(self, _: object, __: object) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    async def RegisterResourceOutputs(
        self, request: resource_pb2.RegisterResourceOutputsRequest, _: object
    ) -> empty_pb2.Empty:
        if f"::{_STACK}::" in request.urn:
            self._run.result.outputs = read(request.outputs)
        return empty_pb2.Empty()

    async def ReadResource(
        self, request: resource_pb2.ReadResourceRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> resource_pb2.ReadResourceResponse:
        try:
            urn = self._run.urn(request.type, request.name, request.parent)
            plugin = await self._run.plugin_of(request.type, request.provider)
            found = await self._run.call(
                plugin, "Read", provider_pb2.ReadRequest(id=request.id, urn=urn, properties=request.properties)
            )
        except grpc.aio.AioRpcError as error:
            await self._fail(context, request.name, error.details() or "")
        else:
            return resource_pb2.ReadResourceResponse(urn=urn, id=found.id, properties=found.properties)

    async def RegisterResource(
        self, request: resource_pb2.RegisterResourceRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> resource_pb2.RegisterResourceResponse:
        urn = self._run.urn(request.type, request.name, request.parent)
        try:
            if not request.custom:
                return resource_pb2.RegisterResourceResponse(urn=urn)
            async with self._run.slots:
                saved = await Registration(self._run, request, urn).carry_out()
        except EngineError as error:
            await self._fail(context, urn, str(error))
        except grpc.aio.AioRpcError as error:
            await self._fail(context, urn, error.details() or str(error.code()))
        else:
            return resource_pb2.RegisterResourceResponse(urn=urn, id=saved.id, object=write(saved.outputs))

    async def _fail(self, context: grpc.aio.ServicerContext[Any, Any], urn: str, text: str) -> Any:
        self._run.result.errors[urn] = text
        await context.abort(grpc.StatusCode.UNKNOWN, "resource registration failed")


class Registration:
    """One resource of the program, from its inputs to its state."""

    def __init__(self, run: Run, request: resource_pb2.RegisterResourceRequest, urn: str) -> None:
        self._run = run
        self._request = request
        self._urn = urn
        self._plugin: Any = None

    async def carry_out(self) -> Saved:
        """Check, then create, update, replace or import, as a comparison says."""
        run, request = self._run, self._request
        if self._urn in run.seen:
            raise EngineError(f"duplicate resource URN {self._urn}")
        run.seen.add(self._urn)
        old = run.known(self._urn, [*request.aliasURNs, *run.aliases(request)])
        inputs = _without_dependencies(read(request.object))
        if old is not None:
            _ignore(inputs, old.inputs, request.ignoreChanges)
        if request.type.startswith("pulumi:providers:"):
            return await self._provider(old, inputs)
        self._plugin = await run.plugin_of(request.type, request.provider, request.version)
        if request.importId and (old is None or old.id != request.importId):
            return await self._import(inputs)
        if self._plugin in run.unconfigured:
            return self._keep("create", self._saved("", inputs, inputs), None)
        inputs = await self._checked(old, inputs)
        return await (self._create(inputs, "create") if old is None else self._compared(old, inputs))

    async def _compared(self, old: Saved, inputs: dict[str, Any]) -> Saved:
        diff = await self._diff(old, inputs)
        paths = {path: _KINDS.Name(each.kind) for path, each in diff.detailedDiff.items()}
        if diff.replaces or self._run.replaced_urns.intersection(self._request.replace_with):
            return await self._replace(old, inputs, paths, delete_first=diff.deleteBeforeReplace)
        if diff.changes == provider_pb2.DiffResponse.DIFF_SOME or old.init_errors:
            return await self._update(old, inputs, paths)
        saved = self._saved(old.id, inputs, old.outputs)
        return self._keep("same", saved, old)

    async def _checked(self, old: Saved | None, inputs: dict[str, Any]) -> dict[str, Any]:
        olds = write(old.inputs) if old is not None else None
        checked = await self._call("Check", provider_pb2.CheckRequest(olds=olds, news=write(inputs), **self._about()))
        if checked.failures:
            raise EngineError("\n".join(f"{each.property}: {each.reason}" for each in checked.failures))
        return read(checked.inputs)

    async def _diff(self, old: Saved, inputs: dict[str, Any]) -> provider_pb2.DiffResponse:
        request = provider_pb2.DiffRequest(
            id=old.id,
            olds=write(old.outputs),
            old_inputs=write(old.inputs),
            news=write(inputs),
            ignoreChanges=self._request.ignoreChanges,
            **self._about(),
        )
        answer: provider_pb2.DiffResponse = await self._call("Diff", request)
        return answer

    async def _create(self, inputs: dict[str, Any], operation: str) -> Saved:
        request = provider_pb2.CreateRequest(properties=write(inputs), preview=self._run.preview, **self._about())
        try:
            made = await self._call("Create", request)
        except grpc.aio.AioRpcError as error:
            self._partial(error, None)
            raise
        return self._keep(operation, self._saved(made.id, inputs, read(made.properties)), None)

    async def _update(self, old: Saved, inputs: dict[str, Any], paths: dict[str, str]) -> Saved:
        request = provider_pb2.UpdateRequest(
            id=old.id,
            olds=write(old.outputs),
            old_inputs=write(old.inputs),
            news=write(inputs),
            ignoreChanges=self._request.ignoreChanges,
            preview=self._run.preview,
            **self._about(),
        )
        try:
            made = await self._call("Update", request)
        except grpc.aio.AioRpcError as error:
            self._partial(error, old)
            raise
        return self._keep("update", self._saved(old.id, inputs, read(made.properties)), old, paths)

    async def _replace(self, old: Saved, inputs: dict[str, Any], paths: dict[str, str], *, delete_first: bool) -> Saved:
        if old.protect and self._request.protect:
            raise EngineError(f"unable to replace resource {self._urn} as it is currently marked for protection")
        self._run.replaced_urns.add(self._urn)
        if delete_first and not self._run.preview:
            await self._run.delete([old])
            if self._urn in self._run.result.errors:
                raise EngineError(self._run.result.errors[self._urn])
        elif not self._run.preview:
            old.delete = True
            self._run.replaced.append(old)
        saved = await self._create(inputs, "replace")
        self._run.result.steps[-1] = Step("replace", self._urn, paths)
        return saved

    async def _import(self, inputs: dict[str, Any]) -> Saved:
        found = await self._call("Read", provider_pb2.ReadRequest(id=self._request.importId, **self._about()))
        if not found.id:
            raise EngineError(f"resource {self._request.importId!r} does not exist")
        read_in = self._saved(found.id, read(found.inputs), read(found.properties))
        diff = await self._diff(read_in, await self._checked(read_in, inputs))
        if diff.changes == provider_pb2.DiffResponse.DIFF_SOME:
            raise EngineError(f"inputs to import do not match the existing resource: {', '.join(diff.detailedDiff)}")
        read_in.inputs = inputs
        return self._keep("import", read_in, None)

    async def _provider(self, old: Saved | None, inputs: dict[str, Any]) -> Saved:
        package = self._request.type.rpartition(":")[2]
        saved = self._saved(old.id if old is not None else str(uuid.uuid4()), inputs, inputs)
        reference = f"{self._urn}::{saved.id}"
        await self._run.configure(package, reference, inputs, old)
        return self._keep(
            "same" if old is not None and old.inputs == inputs else "create" if old is None else "update", saved, old
        )

    def _partial(self, error: grpc.aio.AioRpcError, old: Saved | None) -> None:
        """Keep what there is of a resource that was not finished."""
        details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
        for packed in status_pb2.Status.FromString(details).details if details else ():
            failed = provider_pb2.ErrorResourceInitFailed()
            if packed.Unpack(failed):
                saved = self._saved(failed.id, read(failed.inputs), read(failed.properties))
                saved.init_errors = list(failed.reasons)
                self._keep("unfinished", saved, old)

    def _saved(self, identifier: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> Saved:
        request = self._request
        return Saved(
            urn=self._urn,
            type=request.type,
            id=identifier,
            inputs=inputs,
            outputs=outputs,
            dependencies=[*request.dependencies, *filter(None, [request.provider.rpartition("::")[0]])],
            provider=request.provider,
            protect=request.protect,
            deleted_with=request.deletedWith,
        )

    def _keep(self, operation: str, saved: Saved, old: Saved | None, paths: dict[str, str] | None = None) -> Saved:
        self._run.result.steps.append(Step(operation, self._urn, paths or {}))
        if not self._run.preview:
            self._run.state.put(saved, replacing=old)
            if operation != "same":
                self._run.checkpoint()
        return saved

    def _about(self) -> dict[str, str]:
        return {"urn": self._urn, "type": self._request.type, "name": self._request.name}

    async def _call(self, method: str, request: Any) -> Any:
        return await self._run.call(self._plugin, method, request)


def _without_dependencies(value: Any) -> Any:
    """Turn outputs into what they hold; what they depend on comes apart."""
    match value:
        case {"4dabf18193072939515e22adb298388d": "d0e6a833031e9bbcd3f4e8bde6ca49a4", **rest}:
            held = _without_dependencies(rest.get("value", "04da6b54-80e4-46f7-96ec-b56ff0331ba9"))
            if not rest.get("secret"):
                return held
            return {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": held}
        case dict():
            return {key: _without_dependencies(each) for key, each in value.items()}
        case list():
            return [_without_dependencies(each) for each in value]
        case _:
            return value


def _ignore(inputs: dict[str, Any], before: dict[str, Any], paths: Any) -> None:
    """Put back what was there before at the paths that are ignored, as the engine does ahead of the check."""
    for path in paths:
        steps = [each for each in re.split(r'\.|\["|"\]', path) if each]
        new: Any = inputs
        old: Any = before
        for step in steps[:-1]:
            new, old = new.get(step, {}), old.get(step, {}) if isinstance(old, dict) else {}
        if isinstance(old, dict) and steps[-1] in old:
            new[steps[-1]] = old[steps[-1]]
        else:
            new.pop(steps[-1], None)
