"""The sections of the configuration, named as Flyte's own where Flyte has them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from flyteform_controlplane.configuration.values import (
    Count,
    Duration,
    Name,
    NamedValues,
    Port,
    Positive,
    Quantity,
    Section,
    Weight,
    merged,
)
from flyteform_controlplane.domain.quantities import parse_quantity

MIB = 1024 * 1024
Tier = Literal["HIGH", "MEDIUM", "LOW"]


class Security(Section):
    """Who may call."""

    use_auth: bool = False
    allowed_origins: tuple[Name, ...] = ()


class Grpc(Section):
    """The gRPC listener."""

    port: Port = 8089
    max_message_size_bytes: Positive = 64 * MIB


class Upload(Section):
    """Uploads by signed URL."""

    max_expires_in: Duration = timedelta(hours=1)


class DataProxy(Section):
    """The DataProxyService."""

    upload: Upload = Upload()


class Server(Section):
    """Where the process listens and who may call it."""

    host: Name = "127.0.0.1"
    http_port: Port = 8088
    grpc: Grpc = Grpc()
    security: Security = Security()
    data_proxy: DataProxy = DataProxy()
    public_url: str = ""


class DatabaseSection(Section):
    """The database, and the one of the data catalog where that has its own."""

    url: str = ""
    catalog_url: str = ""
    max_open_connections: Annotated[int, Field(ge=3)] = 20


class Storage(Section):
    """The object store."""

    prefix: str = ""


class FlyteAdmin(Section):
    """What executions get where nobody says anything about it."""

    metadata_storage_prefix: tuple[Name, ...] = ("metadata",)
    max_parallelism: Count = 25
    interruptible: bool = False
    overwrite_cache: bool = False
    k8s_service_account: str = Field(default="", alias="k8sServiceAccount")
    assumable_iam_role: str = ""
    output_location_prefix: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    envs: dict[str, str] = Field(default_factory=dict)
    list_error_message_length: Positive = 100


class DomainSection(Section):
    """A domain of every project."""

    id: Name
    name: str = ""


class Amounts(Section):
    """Amounts of what tasks ask for."""

    cpu: Quantity = ""
    memory: Quantity = ""
    gpu: Quantity = ""
    ephemeral_storage: Quantity = ""


class TaskResourcesSection(Section):
    """What tasks get that do not say what they need, and the most that one may ask for."""

    defaults: Amounts = Amounts()
    limits: Amounts = Amounts()

    @model_validator(mode="after")
    def _defaults_fit(self) -> TaskResourcesSection:
        for name in Amounts.model_fields:
            default, limit = getattr(self.defaults, name), getattr(self.limits, name)
            if default and limit and parse_quantity(default, name) > parse_quantity(limit, name):
                raise ValueError(f"the default of {name}, {default}, is above its limit, {limit}")
        return self


class WhitelistScope(Section):
    """Where a task type may be used."""

    project: str = ""
    domain: str = ""


class Registration(Section):
    """Limits of what is registered; 0 is none."""

    max_workflow_nodes: Count = 0
    workflow_size_limit: Quantity = ""
    max_label_entries: Count = 0
    max_annotation_entries: Count = 0


class SignedUrls(Section):
    """URLs of inputs, outputs and decks."""

    duration_minutes: Positive = 60


class RemoteData(Section):
    """Data that answers carry."""

    max_size_in_bytes: Positive = 2 * MIB
    signed_urls: SignedUrls = SignedUrls()


class SchedulerSection(Section):
    """The scheduler."""

    catch_up: Count = 1
    punctuality: Duration = timedelta(seconds=30)
    concurrent_launches: Positive = 16


class Clusters(Section):
    """Data planes that executions go to."""

    default_execution_label: str = ""
    weights: dict[Name, Weight] = Field(default_factory=dict)
    logins: tuple[Name, ...] = ()


class ClusterResourcesSection(Section):
    """What the platform keeps in clusters: templates in a directory, and values for them, also by domain."""

    template_path: str = ""
    template_data: NamedValues = Field(default_factory=dict)
    custom_data: Annotated[dict[Name, NamedValues], BeforeValidator(merged)] = Field(default_factory=dict)
    refresh_interval: Duration = timedelta(seconds=10)


class Pool(Section):
    """The pool of a domain's executions."""

    pool: Name


class ClusterPools(Section):
    """Pools by domain."""

    cluster_pool_assignments: dict[Name, Pool] = Field(default_factory=dict)


class ExecutionQueue(Section):
    """A queue, and the tags that stand for it."""

    dynamic: Name
    attributes: tuple[Name, ...] = ()


class WorkflowConfig(Section):
    """The tags of a domain; of all that have none without a domain."""

    domain: str = ""
    tags: tuple[Name, ...] = ()


class Queues(Section):
    """Execution queues."""

    execution_queues: tuple[ExecutionQueue, ...] = ()
    workflow_configs: tuple[WorkflowConfig, ...] = ()


class TierValues(Section):
    """What a tier means."""

    queueing_budget: Duration


class QualityOfServiceSection(Section):
    """Quality of service."""

    tier_execution_values: dict[Tier, TierValues] = Field(default_factory=dict)
    default_tiers: dict[Name, Tier] = Field(default_factory=dict)


class DispatchSection(Section):
    """The link to data planes."""

    lease_ttl: Duration = timedelta(seconds=30)
    heartbeat_interval: Duration = timedelta(seconds=5)
    heartbeat_grace: Positive = 3
    unacknowledged_limit: Positive = 100
    attempts: Positive = 5


class AgentTaskType(Section):
    """A task type that an agent runs."""

    name: Name
    version: Count = 0


class AgentSection(Section):
    """An agent (connector) that clients are told of."""

    name: Name
    task_types: tuple[AgentTaskType, ...] = ()
    is_sync: bool = False


class Root(Section):
    """The whole configuration."""

    server: Server = Server()
    database: DatabaseSection = DatabaseSection()
    storage: Storage = Storage()
    flyteadmin: FlyteAdmin = FlyteAdmin()
    domains: Annotated[tuple[DomainSection, ...], Field(min_length=1)] = (
        DomainSection(id="development"),
        DomainSection(id="staging"),
        DomainSection(id="production"),
    )
    task_resources: TaskResourcesSection = Field(default=TaskResourcesSection(), alias="task_resources")
    task_type_whitelist: dict[Name, tuple[WhitelistScope, ...]] = Field(default={}, alias="task_type_whitelist")
    registration: Registration = Registration()
    remote_data: RemoteData = RemoteData()
    scheduler: SchedulerSection = SchedulerSection()
    clusters: Clusters = Clusters()
    cluster_pools: ClusterPools = ClusterPools()
    cluster_resources: ClusterResourcesSection = Field(default=ClusterResourcesSection(), alias="cluster_resources")
    queues: Queues = Queues()
    quality_of_service: QualityOfServiceSection = QualityOfServiceSection()
    dispatch: DispatchSection = DispatchSection()
    agents: tuple[AgentSection, ...] = ()

    @model_validator(mode="after")
    def _domains_exist(self) -> Root:
        """Refuse what is said of a domain that there is none of: it would have no effect."""
        known = {domain.id for domain in self.domains}
        for path, named in (
            ("clusterPools.clusterPoolAssignments", set(self.cluster_pools.cluster_pool_assignments)),
            ("cluster_resources.customData", set(self.cluster_resources.custom_data)),
            ("qualityOfService.defaultTiers", set(self.quality_of_service.default_tiers)),
            ("queues.workflowConfigs", {config.domain for config in self.queues.workflow_configs} - {""}),
        ):
            if unknown := sorted(named - known):
                raise ValueError(f"{path} names {unknown[0]!r}, which is not in domains")
        return self
