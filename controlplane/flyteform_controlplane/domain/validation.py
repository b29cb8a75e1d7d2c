"""Checks of single fields, with the contract's words for what is missing or wrong (contract 1.3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from flyteidl.core.identifier_pb2 import Identifier, NodeExecutionIdentifier, ResourceType, WorkflowExecutionIdentifier

from flyteform_controlplane.domain.enums import name_of
from flyteform_controlplane.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteidl.admin.project_pb2 import Project

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")

MAX_NAME_LENGTH = 255
_MAX_PROJECT_NAME = 64
_MAX_PROJECT_DESCRIPTION = 300
_MAX_PROJECT_LABELS = 16


class ProjectAndDomain(Protocol):
    """Anything that names a project and a domain."""

    @property
    def project(self) -> str: ...  # noqa: D102 - named by the contract

    @property
    def domain(self) -> str: ...  # noqa: D102 - named by the contract


def require(value: object, field: str) -> None:
    """Refuse a request that leaves the field out."""
    if not value:
        raise InvalidArgumentError(f"missing {field}")


def check_scope(scope: ProjectAndDomain) -> None:
    """Refuse what does not say its project and domain."""
    require(scope.project, "project")
    require(scope.domain, "domain")


def check_identifier(identifier: Identifier, resource_type: ResourceType) -> None:
    """Refuse an incomplete identifier of a version, or one of another kind."""
    kind = name_of(ResourceType, resource_type)
    if identifier.resource_type not in (ResourceType.UNSPECIFIED, resource_type):
        found = name_of(ResourceType, identifier.resource_type)
        raise InvalidArgumentError(f"unexpected resource type {found} for identifier [{describe(identifier)}]: {kind}")
    check_scope(identifier)
    for field in ("name", "version"):
        require(getattr(identifier, field), field)
        if len(getattr(identifier, field)) > MAX_NAME_LENGTH:
            raise InvalidArgumentError(f"{field} cannot exceed {MAX_NAME_LENGTH} characters")


def check_execution(identifier: WorkflowExecutionIdentifier) -> None:
    """Refuse an incomplete name of an execution."""
    check_scope(identifier)
    require(identifier.name, "name")


def check_node(identifier: NodeExecutionIdentifier) -> None:
    """Refuse an incomplete name of a node's execution."""
    check_execution(identifier.execution_id)
    require(identifier.node_id, "node_id")


def check_labels(labels: Mapping[str, str], field: str = "labels") -> None:
    """Refuse what Kubernetes would refuse as labels."""
    for key, value in labels.items():
        prefix, slash, name = key.rpartition("/")
        if not _LABEL_NAME.fullmatch(name) or (slash and not _LABEL_PREFIX.fullmatch(prefix)):
            raise InvalidArgumentError(f"invalid value for {field}: key [{key}] is not a valid label key")
        if not _LABEL_VALUE.fullmatch(value):
            raise InvalidArgumentError(f"invalid value for {field}: value [{value}] of [{key}] is not a valid label")


def check_entries(entries: Mapping[str, str], limit: int, field: str) -> None:
    """Refuse more entries than the operator allows; 0 allows any number."""
    if limit and len(entries) > limit:
        raise InvalidArgumentError(f"{field} has {len(entries)} entries, and at most {limit} are allowed")


def check_parallelism(number: int) -> None:
    """Refuse fewer nodes at once than none; 0 leaves it open."""
    if number < 0:
        raise InvalidArgumentError("invalid value for max_parallelism", remedy="give 0 for the default, or more")


def check_project(project: Project) -> None:
    """Refuse a project whose own fields are wrong."""
    require(project.id, "project_id")
    if not _DNS_LABEL.fullmatch(project.id):
        raise InvalidArgumentError(
            f"invalid project id [{project.id}]",
            remedy="use at most 63 lower-case letters, digits and '-', with a letter or digit at both ends",
        )
    if len(project.name) > _MAX_PROJECT_NAME:
        raise InvalidArgumentError(f"project_name cannot exceed {_MAX_PROJECT_NAME} characters")
    if len(project.description) > _MAX_PROJECT_DESCRIPTION:
        raise InvalidArgumentError(f"project_description cannot exceed {_MAX_PROJECT_DESCRIPTION} characters")
    if project.domains:
        raise InvalidArgumentError(
            "Domains are currently only set system wide. Please retry without domains included in your request."
        )
    check_entries(project.labels.values, _MAX_PROJECT_LABELS, "labels")
    check_labels(project.labels.values)


def describe(identifier: Identifier) -> str:
    """Return the identifier as one line of an error message."""
    kind = name_of(ResourceType, identifier.resource_type)
    return f"{kind}:{identifier.project}:{identifier.domain}:{identifier.name}:{identifier.version}"
