"""The configuration of a platform on a cluster of one's own."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from flyteform_platform.config import PlatformConfig, Section
from flyteform_platform.config.section import Image, Label, Name, Quantity

# One may be lost while another is being replaced.
_COPIES = 3
SslMode = Literal["disable", "require", "verify-ca", "verify-full"]


class ExternalDatabase(Section):
    """One database on a server of yours; its password is the secret `adminPassword` or `catalogPassword`."""

    host: str = Field(min_length=1)
    port: int = Field(default=5432, ge=1, le=65535)
    name: Name
    user: Name


class ExternalPostgres(Section):
    """PostgreSQL that is there already. `ca` is the PEM text of who signed its certificate."""

    admin: ExternalDatabase
    catalog: ExternalDatabase
    sslmode: SslMode = "verify-full"
    ca: str = ""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if (self.admin.host, self.admin.name) == (self.catalog.host, self.catalog.name):
            raise ValueError("admin and catalog need a database each")
        if self.admin.user == self.catalog.user:
            raise ValueError("admin and catalog need a user each")
        return self


class ClusterPostgres(Section):
    """PostgreSQL in the cluster, by CloudNativePG. Backups go to the bucket `backups`, if one is named.

    `poolers` is how many of PgBouncer pool connections before it; 0: there is none.
    """

    instances: int = Field(default=3, ge=1, le=7)
    image: Image = "ghcr.io/cloudnative-pg/postgresql:17.6"
    storage: Quantity = "50Gi"
    storage_class: str = ""
    backups: str = Field(default="", pattern=r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$")
    poolers: int = Field(default=0, ge=0, le=5)


class Postgres(Section):
    """Where the databases are: one of the two."""

    external: ExternalPostgres | None = None
    cluster: ClusterPostgres | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.external is None) == (self.cluster is None):
            raise ValueError("say either external or cluster")
        return self


class ExternalS3(Section):
    """An S3 service that is there already; its keys are the secrets `s3AccessKeyId` and `s3SecretAccessKey`."""

    endpoint: str = Field(pattern=r"^https?://[^/\s]+$")
    region: str = "us-east-1"
    metadata: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    raw: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.metadata == self.raw:
            raise ValueError("metadata and raw need a bucket each")
        return self


class SeaweedFS(Section):
    """S3 in the cluster, by SeaweedFS: for small sites. Its keys are the same secrets as for an external service."""

    image: Image = "docker.io/chrislusf/seaweedfs:4.48"
    storage: Quantity = "200Gi"
    storage_class: str = ""


class Rook(Section):
    """S3 in the cluster, by Ceph with Rook: three copies of everything. Its keys are the same secrets.

    `disks` claims of `storage` each are made, on three nodes at least; `gateways` serve S3.
    """

    image: Image = "quay.io/ceph/ceph:v19.2.3"
    disks: int = Field(default=3, ge=3, le=100)
    storage: Quantity = "500Gi"
    storage_class: str = ""
    gateways: int = Field(default=2, ge=1, le=20)


class S3(Section):
    """Where objects are: one of the three."""

    external: ExternalS3 | None = None
    seaweedfs: SeaweedFS | None = None
    rook: Rook | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(each is not None for each in (self.external, self.seaweedfs, self.rook)) != 1:
            raise ValueError("say one of external, seaweedfs and rook")
        return self


class MetalLB(Section):
    """Addresses for load balancers, announced in the nodes' own network: ranges or CIDRs."""

    addresses: tuple[str, ...] = Field(min_length=1)


class Nodes(Section):
    """How the cluster's nodes are marked, where they are: selectors of the platform's, the tasks' and GPU nodes."""

    system: dict[str, str] = Field(default_factory=dict)
    workers: dict[str, str] = Field(default_factory=dict)
    gpu: dict[str, str] = Field(default_factory=dict)


class OnPrem(Section):
    """What this cluster has. `kubeconfig` is a file's path; without it the secret `kubeconfig` is its text."""

    kubeconfig: str = ""
    context: str = ""
    postgres: Postgres
    s3: S3
    metallb: MetalLB | None = None
    gateway_class: Label = "flyteform"
    nodes: Nodes = Nodes()
    storage_class: str = ""
    # CIDRs that the platform's pods must reach: databases, S3, the API server.
    service_cidrs: tuple[str, ...] = ("0.0.0.0/0",)
    service_ports: tuple[int, ...] = (443, 6443)


class OnPremConfig(PlatformConfig):
    """The configuration of one stack."""

    onprem: OnPrem

    @model_validator(mode="after")
    def _needed(self) -> Self:
        operator, postgres = self.addons.cloudnative_pg, self.onprem.postgres
        if postgres.cluster and not (operator.enabled or operator.present):
            raise ValueError("onprem.postgres.cluster needs addons.cloudnativePg: enabled or present")
        if self.onprem.metallb and not (self.addons.metallb.enabled or self.addons.metallb.present):
            raise ValueError("onprem.metallb needs addons.metallb: enabled or present")
        backups = postgres.cluster is not None and postgres.cluster.backups
        if backups and not (self.addons.barman_cloud.enabled or self.addons.barman_cloud.present):
            raise ValueError("onprem.postgres.cluster.backups needs addons.barmanCloud: enabled or present")
        if self.addons.barman_cloud.enabled and not self.addons.has_certificates:
            raise ValueError("addons.barmanCloud needs addons.certManager: enabled or present")
        if self.onprem.s3.rook and not (self.addons.rook.enabled or self.addons.rook.present):
            raise ValueError("onprem.s3.rook needs addons.rook: enabled or present")
        if any(project.secrets for project in self.projects):
            raise ValueError("projects: secrets are kept in a cloud's store; here, make Secrets in their namespaces")
        return self

    @model_validator(mode="after")
    def _durable(self) -> Self:
        postgres, s3 = self.onprem.postgres, self.onprem.s3
        if not self.is_production:
            return self
        missing = {
            f"onprem.postgres.cluster.instances of at least {_COPIES}": not postgres.cluster
            or postgres.cluster.instances >= _COPIES,
            "onprem.postgres.cluster.backups": not postgres.cluster or bool(postgres.cluster.backups),
            "onprem.postgres.cluster.image by digest (@sha256:…)": not postgres.cluster
            or "@sha256:" in postgres.cluster.image,
            "onprem.postgres.external.sslmode: verify-full": not postgres.external
            or postgres.external.sslmode == "verify-full",
            "onprem.s3.external or onprem.s3.rook: SeaweedFS has one disk": not s3.seaweedfs,
        }
        if wrong := [text for text, there in missing.items() if not there]:
            raise ValueError("the preset prod needs " + "; ".join(wrong))
        return self
