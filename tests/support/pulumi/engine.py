"""A small engine for tests: runs an unmodified Pulumi program against real provider processes by Pulumi's protocol.

A test instrument, not Pulumi: one stack, a state file, and as much of the engine's rules as the tests need.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, resource_pb2_grpc

from support.pulumi.hosts import HOST
from support.pulumi.monitor import EngineService, MonitorService
from support.pulumi.plugins import Cloud, Plugin
from support.pulumi.states import Saved, State
from support.pulumi.steps import EngineError, Result, Step
from support.pulumi.wire import has_unknown, read, write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from pulumi.runtime.proto import resource_pb2

_STACK_TYPE = "pulumi:pulumi:Stack"
_LARGEST = 400 * 1024 * 1024
_OPTIONS = [("grpc.max_receive_message_length", _LARGEST), ("grpc.max_send_message_length", _LARGEST)]


@dataclass
class Engine:
    """One stack: its program, its configuration, its state, and how its providers are started."""

    folder: Path
    config: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    command: Sequence[str] | None = None
    parallel: int = 16
    on_step: Callable[[Step], None] | None = None
    sends_unknown_configuration: bool = True
    saves_each_step: bool = True
    running: Run | None = None
    # Providers that run in this process, by package.
    plugins: dict[str, Callable[[], Any]] = field(default_factory=lambda: {"cloud": Cloud})

    @property
    def program(self) -> Path:
        """The program."""
        return self.folder / "__main__.py"

    @property
    def state_file(self) -> Path:
        """The stack's state."""
        return self.folder / "state.json"

    @property
    def state(self) -> State:
        """The stack's state as it is saved."""
        return State(self.state_file)

    async def preview(self) -> Result:
        """Say what `up` would do."""
        return await self._run_program(preview=True)

    async def up(self) -> Result:
        """Bring the stack to what the program says."""
        return await self._run_program(preview=False)

    async def refresh(self) -> Result:
        """Take over into the state what there really is; the state stays as it is if anything cannot be read."""
        async with self._run(preview=False) as run:
            await run.refresh()
            return run.result

    async def destroy(self) -> Result:
        """Delete all resources."""
        async with self._run(preview=False) as run:
            await run.delete([each for each in run.state.resources if each.custom])
            return run.result

    async def import_resource(self, token: str, name: str, identifier: str) -> Result:
        """Take a resource that exists into the state, as `pulumi import` does."""
        async with self._run(preview=False) as run:
            plugin = await run.plugin_of(token, "")
            about = {"urn": run.urn(token, name, ""), "type": token, "name": name}
            try:
                found = await run.call(plugin, "Read", provider_pb2.ReadRequest(id=identifier, **about))
            except grpc.aio.AioRpcError as error:
                run.result.errors[about["urn"]] = error.details() or ""
                return run.result
            if not found.id:
                run.result.errors[about["urn"]] = f"{identifier} does not exist"
                return run.result
            inputs = read(found.inputs)
            run.state.put(Saved(about["urn"], token, found.id, inputs=inputs, outputs=read(found.properties)))
            run.result.steps.append(Step("import", about["urn"]))
            return run.result

    async def _run_program(self, *, preview: bool) -> Result:
        async with self._run(preview=preview) as run:
            run.result.program = await run.program()
            if not run.result.program and not run.result.errors:
                gone = [each for each in run.state.resources if each.custom and each.urn not in run.seen]
                await run.delete([*gone, *run.replaced])
            return run.result

    @asynccontextmanager
    async def _run(self, *, preview: bool) -> AsyncIterator[Run]:
        run = Run(self, preview=preview)
        await run.start()
        self.running = run
        try:
            yield run
        finally:
            self.running = None
            if not preview:
                run.checkpoint(ended=True)
            await run.stop()


class Run:
    """One operation of an engine."""

    def __init__(self, engine: Engine, *, preview: bool) -> None:
        self.preview = preview
        self.result = Result()
        self.state = State(engine.state_file)
        self.seen: set[str] = set()
        self.replaced: list[Saved] = []
        self.replaced_urns: set[str] = set()
        self._deleted: set[str] = set()
        self.unconfigured: list[Any] = []
        self.slots = asyncio.Semaphore(engine.parallel)
        self._engine = engine
        self._calls: Counter[str] = Counter()
        self._plugins: dict[str, Any] = {}
        self._starting = asyncio.Lock()
        self._address = ""
        self._server = grpc.aio.server(options=_OPTIONS)

    @property
    def environment(self) -> dict[str, str]:
        """What programs and plugins see."""
        return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **self._engine.environment}

    async def start(self) -> None:
        """Serve the program and the plugins."""
        resource_pb2_grpc.add_ResourceMonitorServicer_to_server(MonitorService(self), self._server)
        engine_pb2_grpc.add_EngineServicer_to_server(EngineService(self), self._server)
        self._address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()

    async def stop(self) -> None:
        """End all plugins and the servers."""
        self.result.calls = dict(self._calls)
        for plugin in self._plugins.values():
            await plugin.stop()
        await self._server.stop(None)

    def kill_plugins(self) -> None:
        """Kill the plugins' processes as the kernel would."""
        for plugin in self._plugins.values():
            plugin.process.kill()

    async def cancel(self) -> None:
        """Ask the plugins to end what they do."""
        for plugin in self._plugins.values():
            await plugin.stub.Cancel(empty_pb2.Empty())

    async def program(self) -> str:
        """Run the program; return what it wrote if it failed."""
        words = ["--monitor", self._address, "--engine", self._address]
        words += ["--config", json.dumps(self._engine.config), *(["--dry-run"] if self.preview else [])]
        output = self._engine.folder / "program.out"
        program = str(self._engine.program)
        try:
            code = await asyncio.to_thread(HOST.run, [*words, program], self.environment, output)
        except asyncio.CancelledError:
            HOST.kill()
            raise
        return f"{output.read_text()}\nexit code {code}" if code else ""

    async def call(self, plugin: Any, method: str, request: Any) -> Any:
        """Call a plugin."""
        self._calls[method] += 1
        return await getattr(plugin.stub, method)(request)

    async def plugin_of(self, token: str, reference: str, version: str = "") -> Any:
        """Return the provider of a resource, started and configured: the one that it names, or the default one."""
        package = token.partition(":")[0]
        async with self._starting:
            if reference and reference in self._plugins:
                return self._plugins[reference]
            if reference:
                saved = self.state.find(reference.rpartition("::")[0])
                given = {} if saved is None else saved.inputs
            else:
                prefix = f"{package}:"
                given = {
                    key.removeprefix(prefix): each
                    for key, each in self._engine.config.items()
                    if key.startswith(prefix)
                }
                given |= {"version": version} if version else {}
            if (reference or package) not in self._plugins:
                self._plugins[reference or package] = await self._started(package, given)
            return self._plugins[reference or package]

    async def configure(self, package: str, reference: str, given: dict[str, Any], old: Saved | None) -> None:
        """Start the provider that a program declares."""
        async with self._starting:
            plugin = await self._start(package)
            self._plugins[reference] = plugin
        if old is not None:
            await self.call(
                plugin, "DiffConfig", provider_pb2.DiffRequest(old_inputs=write(old.inputs), news=write(given))
            )
        await self._configure(plugin, given)

    async def _started(self, package: str, given: dict[str, Any]) -> Any:
        plugin = await self._start(package)
        await self._configure(plugin, given)
        return plugin

    async def _start(self, package: str) -> Any:
        if package in self._engine.plugins:
            return self._engine.plugins[package]()
        log = self._engine.folder / "plugin.log"
        return await Plugin.start(package, self._address, self.environment, log, self._engine.command)

    async def _configure(self, plugin: Any, given: dict[str, Any]) -> None:
        if isinstance(plugin, Cloud):
            return
        if has_unknown(given) and not self._engine.sends_unknown_configuration:
            self.unconfigured.append(plugin)  # its resources are previewed without it
            return
        checked = await self.call(plugin, "CheckConfig", provider_pb2.CheckRequest(news=write(given)))
        if checked.failures:
            raise EngineError("\n".join(f"{each.property}: {each.reason}" for each in checked.failures))
        request = provider_pb2.ConfigureRequest(args=write(given), acceptSecrets=True, acceptResources=True)
        await self.call(plugin, "Configure", request)

    def urn(self, token: str, name: str, parent: str) -> str:
        """Return a resource's URN."""
        chain = "" if not parent or f"::{_STACK_TYPE}::" in parent else f"{parent.split('::')[2]}$"
        return f"urn:pulumi:test::program::{chain}{token}::{name}"

    def aliases(self, request: resource_pb2.RegisterResourceRequest) -> list[str]:
        """Return the URNs that a resource had before."""
        found = []
        for alias in request.aliases:
            parent = "" if alias.spec.noParent else alias.spec.parentUrn or request.parent
            name, token = alias.spec.name or request.name, alias.spec.type or request.type
            found.append(alias.urn or self.urn(token, name, parent))
        return found

    def known(self, urn: str, aliases: Sequence[str]) -> Saved | None:
        """Return what the state has of a resource, under any of its names."""
        for each in (urn, *aliases):
            if (saved := self.state.find(each)) is not None:
                self.seen.add(each)
                return saved
        return None

    def checkpoint(self, *, ended: bool = False) -> None:
        """Save the state, and tell who watches."""
        if self._engine.saves_each_step or ended:
            self.state.save()
        if self._engine.on_step is not None and self.result.steps:
            self._engine.on_step(self.result.steps[-1])

    async def refresh(self) -> None:
        """Read all resources."""

        async def one(saved: Saved) -> tuple[Saved, Any]:
            async with self.slots:
                plugin = await self.plugin_of(saved.type, saved.provider)
                request = provider_pb2.ReadRequest(
                    id=saved.id,
                    urn=saved.urn,
                    type=saved.type,
                    name=saved.name,
                    inputs=write(saved.inputs),
                    properties=write(saved.outputs),
                )
                try:
                    return saved, await self.call(plugin, "Read", request)
                except grpc.aio.AioRpcError as error:
                    self.result.errors[saved.urn] = error.details() or ""
                    return saved, None

        resources = [each for each in self.state.resources if not each.type.startswith("pulumi:")]
        for saved, found in await asyncio.gather(*map(one, resources)):
            if found is None:
                continue
            if not found.id:
                self.state.drop(saved)
                self.result.steps.append(Step("drop", saved.urn))
                continue
            before = (saved.inputs, saved.outputs)
            saved.inputs, saved.outputs = read(found.inputs), read(found.properties)
            changed = before != (saved.inputs, saved.outputs)
            self.result.steps.append(Step("update" if changed else "same", saved.urn))

    async def delete(self, gone: list[Saved]) -> None:
        """Delete resources, each after all that depends on it."""
        if self.preview:
            self.result.steps += [Step("delete", each.urn) for each in gone]
            return
        self._deleted |= {each.urn for each in gone}
        waiting = {id(each): each for each in gone}
        done: dict[int, asyncio.Event] = {key: asyncio.Event() for key in waiting}

        async def one(saved: Saved) -> None:
            for key, other in waiting.items():
                if saved.urn in other.dependencies and other is not saved:
                    await done[key].wait()
            try:
                if any(
                    saved.urn in other.dependencies
                    for other in self.state.resources
                    if other.custom and id(other) in waiting
                ):
                    return
                await self._delete(saved)
            finally:
                done[id(saved)].set()

        await asyncio.gather(*(one(each) for each in gone))

    async def _delete(self, saved: Saved) -> None:
        if saved.protect:
            self.result.errors[saved.urn] = f"{saved.name} cannot be deleted: it is protected"
            return
        if not saved.type.startswith("pulumi:") and saved.deleted_with not in self._deleted:
            async with self.slots:
                plugin = await self.plugin_of(saved.type, saved.provider)
                request = provider_pb2.DeleteRequest(
                    id=saved.id,
                    urn=saved.urn,
                    type=saved.type,
                    name=saved.name,
                    old_inputs=write(saved.inputs),
                    properties=write(saved.outputs),
                )
                try:
                    await self.call(plugin, "Delete", request)
                except grpc.aio.AioRpcError as error:
                    self.result.errors[saved.urn] = error.details() or ""
                    return
        self.state.drop(saved)
        self.result.steps.append(Step("delete", saved.urn))
        self.checkpoint()
