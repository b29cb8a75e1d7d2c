"""What an execution is to run: a launch plan, or a single task behind a generated workflow (contract 1.4)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteidl.admin.common_pb2 import SYSTEM_GENERATED, NamedEntityIdentifier, NamedEntityMetadata
from flyteidl.core.identifier_pb2 import Identifier, ResourceType

from flyteform_controlplane.domain.concurrency import LaunchPlanName
from flyteform_controlplane.domain.enums import name_of
from flyteform_controlplane.domain.skeleton import skeleton_identifier, skeleton_launch_plan, skeleton_workflow
from flyteform_controlplane.domain.validation import check_identifier
from flyteform_controlplane.errors import EntityExistsError, InvalidArgumentError
from flyteform_controlplane.services.backend import missing
from flyteform_controlplane.services.listing import key_of

if TYPE_CHECKING:
    from flyteform_controlplane.domain.records import LaunchPlanRecord, TaskRecord, WorkflowRecord
    from flyteform_controlplane.services.backend import Backend
    from flyteform_controlplane.services.launch_plans import LaunchPlans
    from flyteform_controlplane.services.named_entities import NamedEntities
    from flyteform_controlplane.services.workflows import Workflows


@dataclass(frozen=True, slots=True)
class Target:
    """The rows that an execution refers to; `task` only when a single task was asked for."""

    launch_plan: LaunchPlanRecord
    workflow: WorkflowRecord
    task: TaskRecord | None = None

    @property
    def entity(self) -> str:
        """What was launched, as the store says it."""
        return "launch_plan" if self.task is None else "task"

    @property
    def launch_plan_name(self) -> LaunchPlanName:
        """The launch plan over all its versions."""
        return LaunchPlanName(self.launch_plan.project, self.launch_plan.domain, self.launch_plan.name)


@dataclass(frozen=True, slots=True)
class Targets:
    """Finds targets, and generates the workflow of a single task when it is first executed."""

    backend: Backend
    workflows: Workflows
    launch_plans: LaunchPlans
    named_entities: NamedEntities

    async def find(self, identifier: Identifier) -> Target:
        """Return what `spec.launch_plan` of an execution names; `MissingEntityError` if there is no such thing."""
        match identifier.resource_type:
            case ResourceType.TASK:
                return await self._single_task(identifier)
            case ResourceType.LAUNCH_PLAN | ResourceType.UNSPECIFIED:
                check_identifier(identifier, ResourceType.LAUNCH_PLAN)
                target = await self._load(identifier)
                if target is None:
                    raise missing("LAUNCH_PLAN", identifier)
                return target
            case other:
                raise InvalidArgumentError(
                    f"a {name_of(ResourceType, other)} cannot be executed", remedy="name a launch plan or a task"
                )

    def known(self, identifier: Identifier) -> Target | None:
        """Return it if nothing has to be read for that, None otherwise."""
        versions, task = self.backend.versions, None
        match identifier.resource_type:
            case ResourceType.TASK:
                task = versions.tasks.kept(*key_of(identifier))
                if task is None:
                    return None
                identifier = skeleton_identifier(identifier, ResourceType.LAUNCH_PLAN)
            case ResourceType.LAUNCH_PLAN | ResourceType.UNSPECIFIED:
                pass
            case _:
                return None
        plan = versions.launch_plans.kept(*key_of(identifier))
        workflow = plan and versions.workflows.kept_by_id(plan.workflow_id)
        return Target(plan, workflow, task) if plan and workflow else None

    async def _load(self, launch_plan: Identifier, task: TaskRecord | None = None) -> Target | None:
        plan = await self.backend.versions.launch_plans.get(*key_of(launch_plan))
        workflow = plan and await self.backend.versions.workflows.by_id(plan.workflow_id)
        return Target(plan, workflow, task) if plan and workflow else None

    async def _single_task(self, identifier: Identifier) -> Target:
        check_identifier(identifier, ResourceType.TASK)
        task = await self.backend.versions.tasks.get(*key_of(identifier))
        if task is None:
            raise missing("TASK", identifier)
        launch_plan = skeleton_identifier(identifier, ResourceType.LAUNCH_PLAN)
        target = await self._load(launch_plan, task)
        if target is None:
            await self._generate(task, identifier)
            target = await self._load(launch_plan, task)
        if target is None:
            raise missing("LAUNCH_PLAN", launch_plan)
        return target

    async def _generate(self, task: TaskRecord, identifier: Identifier) -> None:
        workflow = skeleton_identifier(identifier, ResourceType.WORKFLOW)
        launch_plan = skeleton_identifier(identifier, ResourceType.LAUNCH_PLAN)
        # Another call may generate the same at the same time.
        with suppress(EntityExistsError):
            await self.workflows.register(workflow, skeleton_workflow(task.closure.compiled_task.template))
        with suppress(EntityExistsError):
            await self.launch_plans.register(launch_plan, skeleton_launch_plan(identifier))
        name = NamedEntityIdentifier(project=workflow.project, domain=workflow.domain, name=workflow.name)
        async with self.backend.database.transaction() as tx:
            for generated in (workflow, launch_plan):
                metadata = NamedEntityMetadata(state=SYSTEM_GENERATED)
                await self.named_entities.set_metadata(tx, generated.resource_type, name, metadata)
