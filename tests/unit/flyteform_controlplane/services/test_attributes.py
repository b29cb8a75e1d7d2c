"""Matchable attributes and signals."""

from __future__ import annotations

import pytest
from flyteidl.admin import project_attributes_pb2, project_domain_attributes_pb2, workflow_attributes_pb2
from flyteidl.admin.matchable_resource_pb2 import (
    ListMatchableAttributesRequest,
    MatchableResource,
    MatchingAttributes,
    PluginOverride,
    PluginOverrides,
)
from flyteidl.admin.signal_pb2 import SignalGetOrCreateRequest, SignalListRequest, SignalSetRequest
from flyteidl.core.identifier_pb2 import SignalIdentifier
from flyteidl.core.literals_pb2 import Literal, Primitive, Scalar
from flyteidl.service.identity_pb2 import UserInfoRequest

from flyteform_controlplane.errors import InvalidArgumentError, MissingEntityError
from flyteform_controlplane.services.identity import IdentityService
from flyteform_controlplane.services.signals import SignalService
from support.admin import DOMAIN, INTEGER, PROJECT, World, integer

LABEL = MatchableResource.EXECUTION_CLUSTER_LABEL
CONFIG = MatchableResource.WORKFLOW_EXECUTION_CONFIG


def label(value: str) -> MatchingAttributes:
    """Make attributes."""
    attributes = MatchingAttributes()
    attributes.execution_cluster_label.value = value
    return attributes


async def set_project(world: World, attributes: MatchingAttributes, project: str = PROJECT) -> None:
    """Set attributes of a project."""
    of_project = project_attributes_pb2.ProjectAttributes(project=project, matching_attributes=attributes)
    request = project_attributes_pb2.ProjectAttributesUpdateRequest(attributes=of_project)
    await world.admin.UpdateProjectAttributes(request, None)


async def workflow_label(world: World) -> str:
    """Return the label that applies to a workflow."""
    request = workflow_attributes_pb2.WorkflowAttributesGetRequest(
        project=PROJECT, domain=DOMAIN, workflow="wf", resource_type=LABEL
    )
    found = await world.admin.GetWorkflowAttributes(request, None)
    value: str = found.attributes.matching_attributes.execution_cluster_label.value
    return value


async def test_most_specific_attributes_apply_until_they_are_deleted(world: World) -> None:
    """A workflow's attributes come before its domain's, these before the project's."""
    await set_project(world, label("project"))
    assert await workflow_label(world) == "project"
    of_domain = project_domain_attributes_pb2.ProjectDomainAttributes(
        project=PROJECT, domain=DOMAIN, matching_attributes=label("domain")
    )
    update = project_domain_attributes_pb2.ProjectDomainAttributesUpdateRequest(attributes=of_domain)
    await world.admin.UpdateProjectDomainAttributes(update, None)
    assert await workflow_label(world) == "domain"
    of_workflow = workflow_attributes_pb2.WorkflowAttributes(
        project=PROJECT, domain=DOMAIN, workflow="wf", matching_attributes=label("workflow")
    )
    await world.admin.UpdateWorkflowAttributes(
        workflow_attributes_pb2.WorkflowAttributesUpdateRequest(attributes=of_workflow), None
    )
    assert await workflow_label(world) == "workflow"
    listed = await world.admin.ListMatchableAttributes(ListMatchableAttributesRequest(resource_type=LABEL), None)
    assert len(listed.configurations) == 3
    delete = workflow_attributes_pb2.WorkflowAttributesDeleteRequest(
        project=PROJECT, domain=DOMAIN, workflow="wf", resource_type=LABEL
    )
    await world.admin.DeleteWorkflowAttributes(delete, None)
    assert await workflow_label(world) == "domain"
    with pytest.raises(MissingEntityError):
        await world.admin.DeleteWorkflowAttributes(delete, None)


async def test_missing_attributes_are_not_found_but_execution_settings_fall_back(world: World) -> None:
    """Only a project's execution settings have a default: the application's."""
    request = project_attributes_pb2.ProjectAttributesGetRequest(project=PROJECT, resource_type=CONFIG)
    found = await world.admin.GetProjectAttributes(request, None)
    assert found.attributes.matching_attributes.workflow_execution_config.max_parallelism == 25
    request.resource_type = LABEL
    with pytest.raises(MissingEntityError):
        await world.admin.GetProjectAttributes(request, None)


async def test_plugin_overrides_are_merged_by_task_type(world: World) -> None:
    """An update of one task type leaves the others."""
    for task_type, plugin in (("a", "one"), ("b", "two"), ("a", "three")):
        override = PluginOverride(task_type=task_type, plugin_id=[plugin])
        await set_project(world, MatchingAttributes(plugin_overrides=PluginOverrides(overrides=[override])))
    request = project_attributes_pb2.ProjectAttributesGetRequest(
        project=PROJECT, resource_type=MatchableResource.PLUGIN_OVERRIDE
    )
    found = await world.admin.GetProjectAttributes(request, None)
    overrides = found.attributes.matching_attributes.plugin_overrides.overrides
    assert {one.task_type: list(one.plugin_id) for one in overrides} == {"a": ["three"], "b": ["two"]}


async def test_attributes_of_nothing_are_refused(world: World) -> None:
    """Unknown projects, no attributes at all and the unsettable kind are INVALID_ARGUMENT."""
    unsettable = MatchingAttributes()
    unsettable.quality_of_service.tier = 1  # type: ignore[assignment]
    for attributes, project in ((label("x"), "nobody"), (MatchingAttributes(), PROJECT), (unsettable, PROJECT)):
        with pytest.raises(InvalidArgumentError):
            await set_project(world, attributes, project)


async def test_signal_is_made_once_set_to_its_type_and_listed(world: World) -> None:
    """A gate's signal keeps its declared type, takes only such values, and may be set again."""
    service = SignalService(world.admin.backend)
    name = await world.execute(await world.register_launch_plan("wf"), "run", x=1)
    identifier = SignalIdentifier(signal_id="s", execution_id=name)
    with pytest.raises(InvalidArgumentError, match=r"signal \[s\] exists"):
        await service.SetSignal(SignalSetRequest(id=identifier, value=integer(1)), None)
    create = SignalGetOrCreateRequest(id=identifier, type=INTEGER)
    assert not (await service.GetOrCreateSignal(create, None)).HasField("value")
    text = Literal(scalar=Scalar(primitive=Primitive(string_value="1")))
    with pytest.raises(InvalidArgumentError):
        await service.SetSignal(SignalSetRequest(id=identifier, value=text), None)
    for value in (1, 2):
        await service.SetSignal(SignalSetRequest(id=identifier, value=integer(value)), None)
    assert (await service.GetOrCreateSignal(create, None)).value == integer(2)
    listed = await service.ListSignals(SignalListRequest(workflow_execution_id=name, limit=10), None)
    assert [(one.id, one.type, one.value) for one in listed.signals] == [(identifier, INTEGER, integer(2))]
    identifier.execution_id.name = "nobody"
    with pytest.raises(MissingEntityError):
        await service.GetOrCreateSignal(SignalGetOrCreateRequest(id=identifier, type=INTEGER), None)


async def test_everybody_is_somebody_without_login() -> None:
    """UserInfo answers while there is no login, so that clients that ask it work."""
    assert (await IdentityService().UserInfo(UserInfoRequest(), None)).subject == "anonymous"
