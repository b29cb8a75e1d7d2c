"""The configuration as the parts of a control plane take it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from click.core import ParameterSource
from pydantic import ValidationError

from flyteform.errors import InvalidInputError
from flyteform_controlplane.configuration.sections import Root
from flyteform_controlplane.configuration.sources import read_sources
from flyteform_controlplane.dispatch.config import DispatchConfig
from flyteform_controlplane.domain.cluster_resources import ClusterResourcesConfig, Template
from flyteform_controlplane.domain.config import (
    AdminConfig,
    AgentConfig,
    Domain,
    QualityConfig,
    QueueConfig,
    TaskResources,
    TaskScope,
)
from flyteform_controlplane.domain.quantities import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

    import click
    from pydantic_core import ErrorDetails

    from flyteform_controlplane.configuration.sections import Amounts, ClusterResourcesSection, FlyteAdmin, Queues
    from flyteform_controlplane.configuration.sources import Written

# What a flag can say too, as arguments of `ControlPlaneSettings`: the flag wins.
_PROCESS: Final = {
    "host": ("server", "host"),
    "http_port": ("server", "http_port"),
    "grpc_port": ("server", "grpc", "port"),
    "auth": ("server", "security", "use_auth"),
    "cors_origins": ("server", "security", "allowed_origins"),
    "public_url": ("server", "public_url"),
    "max_message_bytes": ("server", "grpc", "max_message_size_bytes"),
    "database_url": ("database", "url"),
    "catalog_database_url": ("database", "catalog_url"),
    "database_connections": ("database", "max_open_connections"),
    "objects_prefix": ("storage", "prefix"),
    "catch_up": ("scheduler", "catch_up"),
    "punctuality": ("scheduler", "punctuality"),
    "concurrent_launches": ("scheduler", "concurrent_launches"),
    "clusters": ("clusters", "logins"),
}
_PROBLEMS: Final = {"extra_forbidden": "there is no such setting", "missing": "is missing"}


@dataclass(frozen=True, slots=True)
class Configuration:
    """`process` has those arguments of `ControlPlaneSettings` that were written, and no others."""

    admin: AdminConfig
    dispatch: DispatchConfig
    process: Mapping[str, Any]


def configured(options: Mapping[str, Any], context: click.Context, configuration: Configuration) -> dict[str, Any]:
    """Return arguments of `ControlPlaneSettings`: a command's options, and what is configured where nobody gave one."""

    def left_open(name: str) -> bool:
        return name not in options or context.get_parameter_source(name) is ParameterSource.DEFAULT

    given = {name: value for name, value in configuration.process.items() if left_open(name)}
    return {**options, **given, "admin": configuration.admin, "dispatch": configuration.dispatch}


def read_configuration(file: Path | None, environ: Mapping[str, str] | None = None) -> Configuration:
    """Read the file, and variables above it; `InvalidInputError` names the file or variable and the setting's path."""
    written = read_sources(file, os.environ if environ is None else environ, Root)
    try:
        root = Root.model_validate(written.tree)
    except ValidationError as error:
        problems = [_problem(one, written) for one in error.errors(include_input=False, include_url=False)]
        raise InvalidInputError(
            "; ".join(problems), remedy="docs/operations.md describes every setting of the configuration"
        ) from None
    process = {name: value for name, path in _PROCESS.items() if (value := _written(root, path)) is not None}
    return Configuration(_admin(root), _dispatch(root), process)


def _problem(error: ErrorDetails, written: Written) -> str:
    place = tuple(str(part) for part in error["loc"])
    text = _PROBLEMS.get(error["type"], error["msg"].removeprefix("Value error, "))
    return ": ".join([written.source(place), *([".".join(place)] if place else []), text])


def _written(root: Root, path: tuple[str, ...]) -> Any:
    value: Any = root
    for name in path:
        if name not in value.model_fields_set:
            return None
        value = getattr(value, name)
    return value.rstrip("/") if path[-1] == "public_url" else value


def _admin(root: Root) -> AdminConfig:
    pools = root.cluster_pools.cluster_pool_assignments
    return AdminConfig(
        domains=tuple(Domain(domain.id, domain.name or domain.id) for domain in root.domains),
        **_application(root.flyteadmin),
        default_cluster_label=root.clusters.default_execution_label,
        cluster_pools={domain: assignment.pool for domain, assignment in pools.items()},
        task_defaults=_amounts(root.task_resources.defaults),
        task_limits=_amounts(root.task_resources.limits),
        task_type_whitelist={
            task_type: tuple(TaskScope(scope.project, scope.domain) for scope in scopes)
            for task_type, scopes in root.task_type_whitelist.items()
        },
        queues=_queues(root.queues),
        quality=_quality(root),
        **_limits(root),
        cluster_resources=_cluster_resources(root.cluster_resources),
        agents=tuple(
            AgentConfig(agent.name, tuple((one.name, one.version) for one in agent.task_types), is_sync=agent.is_sync)
            for agent in root.agents
        ),
    )


def _cluster_resources(section: ClusterResourcesSection) -> ClusterResourcesConfig:
    return ClusterResourcesConfig(
        templates=_templates(Path(section.template_path)) if section.template_path else (),
        values=section.template_data,
        by_domain=section.custom_data,
        interval=section.refresh_interval,
    )


def _templates(directory: Path) -> tuple[Template, ...]:
    """Read the files of a directory in the order of their names, in which they are applied too."""
    try:
        files = sorted(file for file in directory.iterdir() if file.suffix in {".yaml", ".yml"})
        found = tuple(Template.parse(file.stem, file.read_text(encoding="utf-8")) for file in files)
    except OSError as error:
        raise InvalidInputError(f"cluster_resources.templatePath: {directory}: {error.strerror}") from error
    if not found:
        raise InvalidInputError(f"cluster_resources.templatePath: {directory} holds no template (*.yaml)")
    return found


def _application(section: FlyteAdmin) -> dict[str, Any]:
    return {
        "metadata_prefix": "/".join(part.strip("/") for part in section.metadata_storage_prefix),
        "max_parallelism": section.max_parallelism,
        "interruptible": section.interruptible,
        "overwrite_cache": section.overwrite_cache,
        "kubernetes_service_account": section.k8s_service_account,
        "assumable_iam_role": section.assumable_iam_role,
        "raw_output_prefix": section.output_location_prefix,
        "labels": section.labels,
        "annotations": section.annotations,
        "envs": section.envs,
        "list_error_message_length": section.list_error_message_length,
    }


def _limits(root: Root) -> dict[str, Any]:
    size = root.registration.workflow_size_limit
    return {
        "max_workflow_nodes": root.registration.max_workflow_nodes,
        "max_closure_bytes": int(parse_quantity(size, "workflowSizeLimit")) if size else 0,
        "max_label_entries": root.registration.max_label_entries,
        "max_annotation_entries": root.registration.max_annotation_entries,
        "max_inline_bytes": root.remote_data.max_size_in_bytes,
        "signed_url_expiry": timedelta(minutes=root.remote_data.signed_urls.duration_minutes),
        "max_upload_expiry": root.server.data_proxy.upload.max_expires_in,
    }


def _amounts(section: Amounts) -> TaskResources:
    return TaskResources(section.cpu, section.memory, section.gpu, section.ephemeral_storage)


def _queues(section: Queues) -> QueueConfig:
    by_tag: dict[str, tuple[str, ...]] = {}
    for queue in section.execution_queues:
        for tag in queue.attributes:
            by_tag[tag] = (*by_tag.get(tag, ()), queue.dynamic)
    return QueueConfig(by_tag, {config.domain: config.tags for config in section.workflow_configs})


def _quality(root: Root) -> QualityConfig:
    section = root.quality_of_service
    budgets: dict[str, timedelta] = {
        tier: values.queueing_budget for tier, values in section.tier_execution_values.items()
    }
    return QualityConfig(budgets, {**section.default_tiers})


def _dispatch(root: Root) -> DispatchConfig:
    section = root.dispatch
    return DispatchConfig(
        lease_ttl=section.lease_ttl,
        heartbeat_interval=section.heartbeat_interval,
        heartbeat_grace=section.heartbeat_grace,
        unacknowledged_limit=section.unacknowledged_limit,
        attempts=section.attempts,
        weights=root.clusters.weights,
    )
