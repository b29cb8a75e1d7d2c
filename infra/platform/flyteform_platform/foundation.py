"""What every cloud hands to the platform: one frozen shape, so that platform components know no cloud.

All URIs and addresses are what a pod in the cluster uses. A field of type `Input` may be an output that is known only
after the cloud has made the resource; every other field is known when the program runs, as it decides what is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pulumi import Input

Json = dict[str, Any]
Texts = Mapping[str, str]

NO_TEXTS: Final[Texts] = {}


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Kubernetes cluster, reachable from where the program runs.

    `name` is the one under which the control plane knows it. `kubeconfig` is the text of a kubeconfig file; where it
    holds a credential it is a secret output, else it names a command that gets one (`aws eks get-token`).
    `issuer` is the `iss` of its service-account tokens, and `jwks` the JSON text of the keys that sign them: both are
    pinned for the cluster's name in the control plane, which never fetches a caller's issuer.
    """

    name: str
    kubeconfig: Input[str]
    issuer: Input[str]
    jwks: Input[str]
    context: str = ""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Objects below one prefix. `uri` has no slash at its end: `s3://bucket/prefix`, `gs://…`, `abfs://…`.

    `environment` has what a client needs beside its identity: AWS_REGION, AWS_ENDPOINT_URL, an account's name; never a
    key. `keys` has static keys where there is no identity to have them from (on-premises S3): secret outputs.
    """

    uri: Input[str]
    region: Input[str] = ""
    environment: Mapping[str, Input[str]] = field(default_factory=dict)
    keys: Mapping[str, Input[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Password:
    """A password that a secret of the cluster holds: the key `key` of the Secret `name` in the platform's namespace.

    `value` is a secret output if this program makes that Secret; left out, somebody else does: an operator of
    PostgreSQL, or external-secrets from `remote`.
    """

    name: str
    key: str = "password"
    value: Input[str] | None = None
    remote: RemoteSecret | None = None


@dataclass(frozen=True, slots=True)
class RemoteSecret:
    """A secret in the cloud's own store. `path` is its name or ARN there; `property` picks from a JSON text."""

    path: Input[str]
    property: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    """Passwords that live for minutes, got with a pod's identity (IAM, Entra): nothing secret is kept anywhere.

    A sidecar of `image` (by digest) runs `command`, whose output is the password, every `refresh_seconds`.
    """

    image: str
    command: tuple[str, ...]
    environment: Mapping[str, Input[str]] = field(default_factory=dict)
    refresh_seconds: int = 600


@dataclass(frozen=True, slots=True)
class Database:
    """One PostgreSQL database with a user of its own. `sslmode` is libpq's.

    Who signed its certificate: `ca` is a PEM text, `ca_secret` a Secret with a `ca.crt` in the platform's namespace;
    neither means the public authorities. Both databases have the same `ca_secret` or none.
    """

    host: Input[str]
    name: str
    user: Input[str]
    login: Password | Token
    port: int = 5432
    sslmode: str = "verify-full"
    ca: Input[str] = ""
    ca_secret: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a service account is in the cloud: what its ServiceAccount carries, and the labels of its pods."""

    annotations: Mapping[str, Input[str]] = field(default_factory=dict)
    labels: Texts = field(default_factory=dict)
    pod_labels: Texts = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """A project's domain; its tasks run in the namespace `<project>-<domain>`."""

    project: str
    domain: str

    @property
    def namespace(self) -> str:
        """The namespace of its pods."""
        return f"{self.project}-{self.domain}"

    @property
    def key(self) -> str:
        """The scope as one text: `project/domain`."""
        return f"{self.project}/{self.domain}"


@dataclass(frozen=True, slots=True)
class Identities:
    """Identities by component; `workloads` by `Scope.key`. A component that needs no cloud has the empty one."""

    control_plane: Identity = Identity()
    data_plane: Identity = Identity()
    external_secrets: Identity = Identity()
    cert_manager: Identity = Identity()
    monitoring: Identity = Identity()
    workloads: Mapping[str, Identity] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Edge:
    """How callers from outside arrive. `domain` is the host name that they use.

    One of: `issuer` (a ClusterIssuer of cert-manager that gets the certificate), `certificate_secret` (a TLS Secret
    that is there already), or neither, where the cloud's own load balancer is told its certificate: one that is the
    gateway by `gateway_annotations`, one before the gateway's pods by `service_annotations`, with `balancer_ends_tls`.
    `address` is set where callers reach the gateway by a fixed address, or by the name of one. `sources` are the CIDRs
    that may call. `gateway_cidrs` is where a gateway that is no pod calls from: the cloud's own load balancers.
    `grpc_domain` is for gateways that serve gRPC on a host of its own (load balancers that have no gRPC in HTTP
    routes); without it clients use `domain` for everything. The gateway's proxies run in `gateway_namespace`.
    `own_url` is set where callers come by another way than the gateway.
    """

    domain: str
    gateway_class: str
    issuer: str = ""
    certificate_secret: str = ""
    gateway_annotations: Mapping[str, Input[str]] = field(default_factory=dict)
    service_annotations: Mapping[str, Input[str]] = field(default_factory=dict)
    balancer_ends_tls: bool = False
    address: Input[str] = ""
    address_type: str = "IPAddress"
    sources: tuple[str, ...] = ()
    grpc_domain: str = ""
    gateway_namespace: str = "envoy-gateway-system"
    gateway_cidrs: tuple[str, ...] = ()
    own_url: str = ""

    @property
    def is_cloud_gateway(self) -> bool:
        """Whether the gateway is the cloud's own, and no add-on."""
        return bool(self.gateway_cidrs)

    @property
    def url(self) -> str:
        """Where clients reach HTTP: the issuer and the audience of tokens."""
        return self.own_url or f"https://{self.domain}"


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """How nodes of one kind are marked: pods for them need this selector and tolerate these taints."""

    selector: Texts = field(default_factory=dict)
    tolerations: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True)
class LogLink:
    """A link from an attempt to its logs; `uri` is a template as Flyte's, with `{{ .podName }}` and the like."""

    name: str
    uri: str


@dataclass(frozen=True, slots=True)
class Agent:
    """What hands pods their identity in the cloud, on every node: one address, which no network has, and its port."""

    cidr: str
    port: int = 80


@dataclass(frozen=True, slots=True)
class ClusterProfile:
    """What pods have to know about a cluster's nodes and services.

    `system` is where the platform's own pods run, `workers` where tasks do, `spot` and `gpu` what interruptible tasks
    and those with GPUs need beyond that. `gpu_devices` maps names that tasks may use to values of `gpu_label`.
    An empty `storage_class` is the cluster's default. Zones are spread over by `zone_label`.
    """

    system: NodeGroup = NodeGroup()
    workers: NodeGroup = NodeGroup()
    spot: NodeGroup = NodeGroup()
    gpu: NodeGroup = NodeGroup()
    gpu_resource: str = "nvidia.com/gpu"
    gpu_label: str = "nvidia.com/gpu.product"
    gpu_devices: Texts = field(default_factory=dict)
    storage_class: str = ""
    zone_label: str = "topology.kubernetes.io/zone"
    log_links: tuple[LogLink, ...] = ()
    # CIDRs and TCP ports that the platform's pods must reach beside the databases: buckets, the cloud's identity
    # service, the API server, a control plane elsewhere. Clouds serve most of these at public addresses of their own.
    service_cidrs: tuple[str, ...] = ("0.0.0.0/0",)
    service_ports: tuple[int, ...] = (443, 6443)
    # Where the databases are; none: where the services are.
    database_cidrs: tuple[str, ...] = ()
    # Without them a pod whose network is denied by default has no identity.
    agents: tuple[Agent, ...] = ()
    # What a project's secret is called in the cloud's store, by `name`, `project`, `domain` and `secret`; empty: there
    # is no store.
    secret_path: str = ""
    # Namespaces of the cluster in which such services are: addresses of pods are no CIDRs to every network.
    service_namespaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where Prometheus writes what it measures beside its own disk: an address, and the region it signs calls for."""

    url: Input[str]
    region: str


@dataclass(frozen=True, slots=True)
class Foundation:
    """Everything that the platform stands on. `name` begins the names of what is made on it, `environment` is a label.

    `admin` and `catalog` are separate databases with separate users. The control plane reads and writes `metadata`
    alone; tasks write `raw`, and read and write below their execution's prefix in `metadata`.
    """

    name: str
    environment: str
    cluster: Cluster
    metadata: Bucket
    raw: Bucket
    admin: Database
    catalog: Database
    identities: Identities
    edge: Edge
    profile: ClusterProfile = ClusterProfile()
    metrics: Metrics | None = None
    tags: Texts = field(default_factory=dict)
