"""The parts of a configuration that every cloud has. A cloud adds its own by a subclass of `PlatformConfig`."""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise
from typing import Self

from pydantic import Field, model_validator

from flyteform_platform.config.presets import require_production
from flyteform_platform.config.section import Cidr, Host, Image, Label, Name, Quantity, Section

__all__ = ["Section"]


class Preset(StrEnum):
    """How much a platform is meant to bear: `prod` is refused where it would lose data or stand still."""

    DEV = "dev"
    STAGING = "staging"
    PROD = "prod"


class Role(StrEnum):
    """What a stack makes: the cloud's resources, what the cluster needs, and the two planes."""

    BASE = "base"
    PLATFORM = "platform"
    CONTROL_PLANE = "controlplane"
    DATA_PLANE = "dataplane"


class StackNames(Section):
    """The stacks that hold what this one does not, as `organization/project/stack`; joined by StackReferences."""

    base: str = Field(default="", pattern=r"^([^/]+/[^/]+/[^/]+)?$")
    platform: str = Field(default="", pattern=r"^([^/]+/[^/]+/[^/]+)?$")
    control_plane: str = Field(default="", alias="controlplane", pattern=r"^([^/]+/[^/]+/[^/]+)?$")


class Network(Section):
    """The network that is made. `sources` may reach the platform's gateway, `administrators` the API server."""

    cidr: Cidr = "10.64.0.0/16"
    zones: int = Field(default=2, ge=1, le=3)
    sources: tuple[Cidr, ...] = ()
    administrators: tuple[Cidr, ...] = ()
    private_api: bool = True
    flow_logs: bool = True


class NodePool(Section):
    """Nodes of one kind. `machines` are the cloud's names, several for spot; `disk_gib` is the root disk in GiB."""

    name: Label
    machines: tuple[str, ...] = Field(min_length=1)
    minimum: int = Field(default=0, ge=0)
    maximum: int = Field(default=3, ge=1)
    disk_gib: int = Field(default=100, ge=20, le=16384)
    spot: bool = False
    gpus: int = Field(default=0, ge=0)
    gpu_type: str = ""
    system: bool = False

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}")
        if self.system and (self.spot or self.gpus or not self.minimum):
            raise ValueError("system nodes are neither spot nor with GPUs, and there is at least one")
        return self


class DatabaseSizes(Section):
    """PostgreSQL for admin and catalog. `machine` is the cloud's name of a size, `storage_gib` its disk in GiB."""

    version: int = Field(default=17, ge=14, le=18)
    machine: str = ""
    storage_gib: int = Field(default=50, ge=10, le=65536)
    highly_available: bool = False
    backup_days: int = Field(default=7, ge=1, le=35)
    deletion_protection: bool = False


class Storage(Section):
    """Buckets. Raw data is what tasks write: after `raw_expiry_days` it is deleted (0: never)."""

    versioning: bool = True
    raw_expiry_days: int = Field(default=0, ge=0)
    raw_tiering_days: int = Field(default=30, ge=0)
    noncurrent_days: int = Field(default=30, ge=1)
    deletion_protection: bool = False


class EdgeSettings(Section):
    """How callers arrive. `dns_zone` is the cloud's zone that gets the record; empty: somebody else makes it."""

    domain: Host
    dns_zone: str = ""
    certificate_secret: str = ""
    issuer_email: str = ""
    # Where clients reach HTTP if not at https://<domain>: a balancer of your own.
    url: str = Field(default="", pattern=r"^(https?://[^/\s]+)?$")


class Amounts(Section):
    """What one container asks for, and the most memory that it gets."""

    cpu: Quantity = "250m"
    memory: Quantity = "512Mi"


class Scaling(Section):
    """Replicas: between these two, by CPU use in percent of what is asked for."""

    minimum: int = Field(default=1, ge=1, le=50)
    maximum: int = Field(default=3, ge=1, le=50)
    cpu_percent: int = Field(default=70, ge=10, le=95)

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}")
        return self


class TrustedCluster(Section):
    """A cluster with a data plane in another stack: whose tokens are believed, by keys that are pinned here."""

    name: Label
    issuer: str
    jwks: dict[str, object]
    namespace: Label = "flyteform-dataplane"


class ControlPlane(Section):
    """The control plane. `settings` is its own configuration, with Flyte's names (docs/operations.md)."""

    image: Image = "ghcr.io/flyteform/controlplane:0.1.0"
    pull_policy: str = Field(default="IfNotPresent", pattern="^(Always|IfNotPresent|Never)$")
    namespace: Label = "flyteform"
    replicas: Scaling = Scaling()
    resources: Amounts = Amounts()
    database_connections: int = Field(default=20, ge=3)
    clusters: tuple[TrustedCluster, ...] = ()
    settings: dict[str, object] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_core(self) -> Self:
        cpu = self.resources.cpu
        if (float(cpu[:-1]) / 1000 if cpu.endswith("m") else float(cpu)) > 1:
            raise ValueError(
                "resources.cpu is above 1: a replica is one process and uses no more, so the autoscaler, which goes by"
                " the share of it that is used, would never add one; raise replicas.maximum"
            )
        return self


class Limits(Section):
    """What all tasks of a project's domain may use together; empty: no limit."""

    cpu: Quantity | None = None
    memory: Quantity | None = None
    gpu: Quantity | None = None
    pods: int | None = Field(default=None, ge=1)


class Project(Section):
    """A project and its domains: each has a namespace, an identity, limits, and the secrets that are named.

    Every domain has values of its own: people put them into the cloud's store, and tasks find them by the name.
    """

    name: Name
    domains: tuple[Label, ...] = ("development", "staging", "production")
    limits: dict[str, Limits] = Field(default_factory=dict)
    secrets: tuple[Label, ...] = ()

    @model_validator(mode="after")
    def _known(self) -> Self:
        if unknown := sorted(set(self.limits) - set(self.domains)):
            raise ValueError(f"limits of {unknown[0]}, which is none of its domains")
        return self


class DataPlane(Section):
    """The data plane of one cluster. `name` is the cluster's, `labels` those that executions may ask for.

    The operator's rights hold in the whole cluster, or in the namespaces of the stack's `projects` alone (`scope`).
    """

    name: Label = "main"
    image: Image = "ghcr.io/flyteform/dataplane:0.1.0"
    pull_policy: str = Field(default="IfNotPresent", pattern="^(Always|IfNotPresent|Never)$")
    namespace: Label = "flyteform-dataplane"
    replicas: int = Field(default=1, ge=1, le=5)
    resources: Amounts = Amounts()
    labels: tuple[Label, ...] = ()
    weight: float = Field(default=1.0, gt=0)
    plugins: tuple[Label, ...] = ()
    scope: str = Field(default="cluster", pattern="^(cluster|projects)$")
    # Whether this stack declares the cluster at its control plane, which takes a login there.
    declared: bool = False


class Addon(Section):
    """A chart that somebody else maintains. `present`: the cluster has it already, so it is used and not installed."""

    enabled: bool = True
    present: bool = False
    version: str = ""
    values: dict[str, object] = Field(default_factory=dict)


class Addons(Section):
    """Charts below the platform; versions are pinned with the charts' own addresses."""

    external_secrets: Addon = Addon()
    cert_manager: Addon = Addon()
    envoy_gateway: Addon = Addon()
    monitoring: Addon = Addon()
    cloudnative_pg: Addon = Field(default=Addon(enabled=False), alias="cloudnativePg")
    barman_cloud: Addon = Addon(enabled=False)
    metallb: Addon = Addon(enabled=False)
    rook: Addon = Addon(enabled=False)

    @property
    def has_certificates(self) -> bool:
        """Whether there is cert-manager."""
        return self.cert_manager.enabled or self.cert_manager.present

    @property
    def has_secrets(self) -> bool:
        """Whether there is external-secrets."""
        return self.external_secrets.enabled or self.external_secrets.present

    @property
    def has_gateway(self) -> bool:
        """Whether there are gateways."""
        return self.envoy_gateway.enabled or self.envoy_gateway.present

    @property
    def has_monitoring(self) -> bool:
        """Whether there is a Prometheus operator."""
        return self.monitoring.enabled or self.monitoring.present


class PlatformConfig(Section):
    """Everything that one stack is told. `name` begins the names of all that is made."""

    name: Name
    preset: Preset
    roles: tuple[Role, ...] = tuple(Role)
    stacks: StackNames = StackNames()
    network: Network = Network()
    node_pools: tuple[NodePool, ...] = ()
    database: DatabaseSizes = DatabaseSizes()
    storage: Storage = Storage()
    edge: EdgeSettings
    control_plane: ControlPlane = Field(default=ControlPlane(), alias="controlplane")
    data_plane: DataPlane = Field(default=DataPlane(), alias="dataplane")
    projects: tuple[Project, ...] = ()
    addons: Addons = Addons()
    tags: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.roles:
            raise ValueError("roles is empty: the stack would make nothing")
        needed = {
            Role.PLATFORM: ("base", Role.BASE),
            Role.CONTROL_PLANE: ("base", Role.BASE),
            Role.DATA_PLANE: ("controlplane", Role.CONTROL_PLANE),
        }
        for role, (other, maker) in needed.items():
            named = {"base": self.stacks.base, "controlplane": self.stacks.control_plane}[other]
            if role in self.roles and maker not in self.roles and not named:
                raise ValueError(f"stacks.{other} is missing: the role {role} needs what that stack makes")
        return self

    @model_validator(mode="after")
    def _apart(self) -> Self:
        """Identities may touch what begins with `<project>-<domain>-`: no other domain's name may begin so."""
        spaces = sorted(f"{project.name}-{domain}" for project in self.projects for domain in project.domains)
        for first, second in pairwise(spaces):
            if f"{second}-".startswith(f"{first}-"):
                raise ValueError(f"projects: {first} and {second} are not apart, rename one of the projects")
        return self

    @model_validator(mode="after")
    def _kept(self) -> Self:
        for index, project in enumerate(self.projects):
            if project.secrets and not self.addons.has_secrets:
                raise ValueError(f"projects[{index}].secrets needs addons.externalSecrets: enabled or present")
        return self

    @model_validator(mode="after")
    def _declared(self) -> Self:
        if Role.DATA_PLANE not in self.roles:
            return self
        plane, whole = self.data_plane, Role.CONTROL_PLANE in self.roles
        if plane.declared and whole:
            raise ValueError("dataplane.declared is for a data plane alone: this stack's control plane knows its own")
        if plane.labels and not plane.declared:
            raise ValueError(
                "dataplane.labels: nobody would know of them; set dataplane.declared in a stack of its own"
            )
        if plane.weight != 1 and not plane.declared and not whole:
            raise ValueError("dataplane.weight: nobody would know of it; set dataplane.declared")
        return self

    @model_validator(mode="after")
    def _production(self) -> Self:
        if self.preset is Preset.PROD:
            require_production(self)
        return self

    def has(self, role: Role) -> bool:
        """Tell whether this stack makes it."""
        return role in self.roles

    @property
    def is_production(self) -> bool:
        """Whether losing it would hurt."""
        return self.preset is Preset.PROD

    @property
    def is_throwaway(self) -> bool:
        """Whether it may be taken down with everything that is in it."""
        return self.preset is Preset.DEV and not self.storage.deletion_protection
