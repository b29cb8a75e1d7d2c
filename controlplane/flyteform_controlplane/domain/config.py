"""What an operator decides about the control plane."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from flyteform_controlplane.domain.cluster_resources import ClusterResourcesConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Domain:
    """A stage that every project has, such as development; `id` is in identifiers, `name` is shown."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class TaskResources:
    """Amounts of what tasks ask for, as Kubernetes quantities; "" says nothing about it."""

    cpu: str = ""
    memory: str = ""
    gpu: str = ""
    ephemeral_storage: str = ""


@dataclass(frozen=True, slots=True)
class TaskScope:
    """Where a task type may be used: "" is every project, or every domain of the project."""

    project: str = ""
    domain: str = ""


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """An agent (connector) that runs tasks; `task_types` are names with versions."""

    name: str
    task_types: tuple[tuple[str, int], ...] = ()
    is_sync: bool = False


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """Execution queues: which of them each tag stands for, and the tags of a domain that has none set ("" for all)."""

    by_tag: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    domain_tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QualityConfig:
    """Quality of service by names of tiers: how long work of each may queue, and the tier of a domain's executions."""

    queueing_budgets: Mapping[str, timedelta] = field(default_factory=dict)
    default_tiers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AdminConfig:
    """Settings of the AdminService; sizes are bytes, and 0 as a limit of number or size means none."""

    domains: tuple[Domain, ...] = (
        Domain("development", "development"),
        Domain("staging", "staging"),
        Domain("production", "production"),
    )
    # Where below the object store's prefix closures and inputs go.
    metadata_prefix: str = "metadata"
    max_parallelism: int = 25
    interruptible: bool = False
    overwrite_cache: bool = False
    kubernetes_service_account: str = ""
    assumable_iam_role: str = ""
    # "" lets the data plane choose: its own raw-data prefix.
    raw_output_prefix: str = ""
    # What executions get of each where nobody says anything about it.
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    envs: Mapping[str, str] = field(default_factory=dict)
    default_cluster_label: str = ""
    # The cluster pool that a domain's executions belong to; an execution that names another one is refused.
    cluster_pools: Mapping[str, str] = field(default_factory=dict)
    # What a task gets that does not say what it needs, and the most that one may ask for.
    task_defaults: TaskResources = field(default_factory=TaskResources)
    task_limits: TaskResources = field(default_factory=TaskResources)
    # Task types that are allowed in some places only; a type that is not listed is allowed everywhere.
    task_type_whitelist: Mapping[str, tuple[TaskScope, ...]] = field(default_factory=dict)
    queues: QueueConfig = field(default_factory=QueueConfig)
    quality: QualityConfig = field(default_factory=QualityConfig)
    max_workflow_nodes: int = 0
    max_closure_bytes: int = 0
    max_label_entries: int = 0
    max_annotation_entries: int = 0
    # Largest input or output that Get…ExecutionData answers inline, and largest `output_data` of an event.
    max_inline_bytes: int = 2 * MIB
    # Longest error message in a list; a Get answers it whole.
    list_error_message_length: int = 100
    agents: tuple[AgentConfig, ...] = ()
    # What is kept in each cluster.
    cluster_resources: ClusterResourcesConfig = field(default_factory=ClusterResourcesConfig)
    signed_url_expiry: timedelta = timedelta(hours=1)
    # Longest that a URL of the DataProxyService may be asked for.
    max_upload_expiry: timedelta = timedelta(hours=1)

    @property
    def domain_ids(self) -> frozenset[str]:
        """The identifiers of all domains."""
        return frozenset(domain.id for domain in self.domains)
