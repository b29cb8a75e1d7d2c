"""flytekit's own entities: serialized by flytekit itself, versioned and shipped as ours are.

flytekit is never imported here by itself: whoever declares its entities has it, in the interpreter that plans.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyteidl.admin import launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.core.identifier_pb2 import LAUNCH_PLAN, TASK, WORKFLOW, Identifier
from flyteidl.core.workflow_pb2 import Node

from flyteform.errors import DefinitionError
from flyteform.idl import schedule_message
from flyteform.provision.bundle import BUNDLE_PLACEHOLDER
from flyteform.provision.code import is_installed
from flyteform.provision.digest import messages_in, version_of
from flyteform.provision.errors import DeclarationError
from flyteform.provision.model import Address, Entity, Kind
from flyteform.provision.specs import complete_launch_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from google.protobuf.message import Message

    from flyteform.provision.codebase import CodeBase
    from flyteform.provision.definitions import Place
    from flyteform.provision.resources import LaunchPlan

_KINDS = {TASK: Kind.TASK, WORKFLOW: Kind.WORKFLOW, LAUNCH_PLAN: Kind.LAUNCH_PLAN}
# Stands for every version until that is known; versions of what is only referred to are never this.
_VERSION = "@flyteform-version@"
_FAST = "pyflyte-fast-execute"
_REFUSED = (AssertionError, ValueError, TypeError, AttributeError, KeyError, RuntimeError)


def launch_plan_of(entity: Any, resource: LaunchPlan) -> Any:
    """Return the launch plan that a resource means: the one given, or one made of a workflow; `DefinitionError`."""
    given = (resource.name, resource.default_inputs, resource.fixed_inputs, resource.schedule)
    if is_launch_plan(entity):
        if any(each is not None for each in given):
            raise DefinitionError(
                f"launch plan {entity.name!r} has its name, inputs and schedule already",
                remedy="write them where it is made, or give its workflow here",
            )
        return entity
    if not _is_a(entity, "WorkflowBase"):
        raise DefinitionError(f"LaunchPlan takes a workflow or a launch plan, not {entity!r}")
    if resource.name is None and all(each is None for each in given):
        return default_launch_plan(entity)
    maker = import_module("flytekit").LaunchPlan
    foreign = resource.schedule if type(resource.schedule).__module__.startswith("flytekit") else None
    try:
        return maker.get_or_create(
            entity,
            name=resource.name or entity.name,
            default_inputs=dict(resource.default_inputs or {}),
            fixed_inputs=dict(resource.fixed_inputs or {}),
            schedule=foreign,
        )
    except _REFUSED as error:
        raise DefinitionError(f"launch plan {resource.name or entity.name}: flytekit refuses it: {error}") from error


def default_launch_plan(workflow: Any) -> Any:
    """Return the launch plan that has the workflow's own name."""
    flytekit = import_module("flytekit")
    context = import_module("flytekit.core.context_manager").FlyteContextManager.current_context()
    return flytekit.LaunchPlan.get_default_launch_plan(context, workflow)


def is_launch_plan(entity: object) -> bool:
    """Tell whether a definition of flytekit's is a launch plan."""
    return _is_a(entity, "LaunchPlan")


def is_workflow(entity: object) -> bool:
    """Tell whether a definition of flytekit's is a workflow, decorated or imperative."""
    return _is_a(entity, "WorkflowBase")


def is_task(entity: object) -> bool:
    """Tell whether a definition of flytekit's is a task."""
    return _is_a(entity, "PythonTask")


def is_reference(entity: object) -> bool:
    """Tell whether a definition of flytekit's only names what is registered in another way."""
    return _is_a(entity, "ReferenceEntity")


def _is_a(entity: object, name: str) -> bool:
    return any(each.__name__ == name and each.__module__.startswith("flytekit.") for each in type(entity).__mro__)


def translate(
    root: Any, place: Place, image: str | None, code: CodeBase, launch_plans: Mapping[Address, LaunchPlan]
) -> list[Entity]:
    """Return a definition and all that it calls, the root last; `DeclarationError` if flytekit cannot serialize it."""
    if is_reference(root):
        raise DeclarationError(
            f"{root.name} is a reference: it is registered elsewhere", remedy="declare what calls it"
        )
    translation = _Translation(place, code, launch_plans)
    return [translation.entity(definition, message) for definition, message in _serialized(root, image)]


def _serialized(root: Any, image: str | None) -> list[tuple[Any, Any]]:
    """Return definitions with flytekit's models of them, those that are called before those that call them."""
    found = _translated(root, image, fast=True)
    if any(is_task(definition) and _is_first_party(definition) for definition, _ in found):
        return found
    # Dynamic tasks hand on to the tasks that they make whether their code was shipped: all of it was, or none.
    return _translated(root, image, fast=False)


def _translated(root: Any, image: str | None, *, fast: bool) -> list[tuple[Any, Any]]:
    configuration = import_module("flytekit.configuration")
    images = configuration.ImageConfig
    settings = configuration.SerializationSettings(
        image_config=images.auto(img_name=image) if image else images.auto_default_image(),
        version=_VERSION,
        fast_serialization_settings=configuration.FastSerializationSettings(
            enabled=fast, destination_dir=".", distribution_location=BUNDLE_PLACEHOLDER
        ),
    )
    found: OrderedDict[Any, Any] = OrderedDict()
    try:
        import_module("flytekit.tools.translator").get_serializable(found, settings, root)
    except _REFUSED as error:
        raise DeclarationError(f"flytekit cannot serialize {root.name}: {error}") from error
    return [(definition, model) for definition, model in found.items() if _is_registered(model)]


def _is_registered(model: object) -> bool:
    """Tell whether a model is one of what gets a version; nodes, and what is only referred to, do not."""
    kind = type(model)
    return kind.__name__ in ("TaskSpec", "WorkflowSpec", "LaunchPlan") and kind.__module__.startswith(
        "flytekit.models."
    )


def _is_first_party(task: Any) -> bool:
    file = _file(_module(task))
    return file is not None and not is_installed(file)


def _module(definition: Any) -> str:
    """Return the module in which a definition's code is; of a map task that of the task that it maps."""
    inner = getattr(definition, "python_function_task", None) or getattr(definition, "_run_task", None) or definition
    function = getattr(inner, "task_function", None)
    if function is not None:
        return str(function.__module__)
    return str(getattr(inner, "instantiated_in", None) or inner.name.rpartition(".")[0])


def _file(module: str) -> Path | None:
    file = getattr(sys.modules.get(module), "__file__", None)
    return None if file is None else Path(file).resolve()


def _arrange(spec: Message) -> None:
    """Put in order what flytekit leaves in the order of a set, which another process has another one of."""
    for message in messages_in(spec):
        if isinstance(message, Node):
            message.inputs.sort(key=lambda binding: binding.var)
            message.upstream_node_ids.sort()


class _Translation:
    """Gives versions to what flytekit has serialized, one after the other."""

    def __init__(self, place: Place, code: CodeBase, launch_plans: Mapping[Address, LaunchPlan]) -> None:
        self._place = place
        self._code = code
        self._launch_plans = launch_plans
        self._versions: dict[Address, str] = {}

    def entity(self, definition: Any, model: Any) -> Entity:
        """Turn one model into an entity, with the versions of what it calls in it."""
        if type(model).__name__ == "LaunchPlan":
            return self._launch_plan(definition, model.spec.to_flyte_idl())
        spec = model.to_flyte_idl()
        if isinstance(spec, task_pb2.TaskSpec):
            return self._task(definition, spec)
        return self._workflow(definition, spec)

    def _task(self, definition: Any, spec: task_pb2.TaskSpec) -> Entity:
        address = self._place.address(Kind.TASK, definition.name)
        args = spec.template.container.args
        module = _module(definition)
        file = _file(module)
        shipped = _FAST in args and file is not None and self._code.add_module(address, module, str(file))
        if not shipped and args[:1] == [_FAST]:
            args[:] = args[list(args).index("--") + 1 :]
        code = self._code.digests(address)
        return self._finish(address, spec, spec.template.id, code)

    def _workflow(self, definition: Any, spec: workflow_pb2.WorkflowSpec) -> Entity:
        address = self._place.address(Kind.WORKFLOW, definition.name)
        return self._finish(address, spec, spec.template.id, {})

    def _launch_plan(self, definition: Any, spec: launch_plan_pb2.LaunchPlanSpec) -> Entity:
        address = self._place.launch_plan(definition.name)
        resource = self._launch_plans.get(address)
        bare = spec.SerializeToString(deterministic=True)
        if resource is not None:
            complete_launch_plan(spec, resource)
            if resource.schedule is not None and not spec.entity_metadata.HasField("schedule"):
                spec.entity_metadata.schedule.CopyFrom(schedule_message(resource.schedule))
        is_default = definition is default_launch_plan(definition.workflow)
        same = is_default and spec.SerializeToString(deterministic=True) == bare
        return self._finish(address, spec, None, {}, versioned_as=spec.workflow_id if same else None)

    def _finish(
        self,
        address: Address,
        spec: task_pb2.TaskSpec | workflow_pb2.WorkflowSpec | launch_plan_pb2.LaunchPlanSpec,
        own: Identifier | None,
        code: Mapping[str, str],
        versioned_as: Identifier | None = None,
    ) -> Entity:
        if own is not None:
            own.version = ""
        _arrange(spec)
        called = tuple(dict.fromkeys(self._resolve(spec)))
        version = version_of(spec, code) if versioned_as is None else versioned_as.version
        if own is not None:
            own.version = version
        self._versions[address] = version
        return Entity(address, version, spec.SerializeToString(deterministic=True), called, code=code)

    def _resolve(self, spec: Message) -> Iterator[Address]:
        """Write place and version into what is referred to; yield what of it is declared here."""
        for message in messages_in(spec):
            if not isinstance(message, Identifier) or not message.name:
                continue
            message.project = message.project or self._place.project
            message.domain = message.domain or self._place.domain
            if message.version == _VERSION:
                address = self._place.address(_KINDS[message.resource_type], message.name)
                message.version = self._versions[address]
                yield address
