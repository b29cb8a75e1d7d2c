"""A small program that the recorder is tested with: a base stack, and one that refers to it."""

import pulumi_kubernetes as kubernetes

import pulumi
from flyteform_platform.config import PlatformConfig, Role, read_config, secret
from flyteform_platform.foundation import (
    Bucket,
    Cluster,
    Database,
    Edge,
    Foundation,
    Identities,
    Identity,
    Password,
)
from flyteform_platform.references import export, imported

config = read_config(PlatformConfig)


def foundation(password: pulumi.Input[str], bucket: pulumi.Input[str]) -> Foundation:
    """Return what the base stack has made, or the same structure for what another stack has made."""
    database = Database("db.example.org", "admin", "admin", Password("admin-database", value=password))
    return Foundation(
        name=config.name,
        environment=config.preset,
        cluster=Cluster("main", kubeconfig="{}", issuer="https://issuer.example.org", jwks="{}"),
        metadata=Bucket(uri=bucket, environment={"AWS_REGION": bucket}),
        raw=Bucket(uri=bucket),
        admin=database,
        catalog=database,
        identities=Identities(workloads={"a/development": Identity(annotations={"role": bucket})}),
        edge=Edge(config.edge.domain, "envoy"),
    )


if config.has(Role.BASE):
    protected = pulumi.ResourceOptions(protect=True, ignore_changes=["metadata.annotations"])
    namespace = kubernetes.core.v1.Namespace("bucket", metadata={"name": "bucket"}, opts=protected)
    made = foundation(secret("password"), namespace.id.apply("s3://{}".format))
    export(made)
else:
    reference = pulumi.StackReference(config.stacks.base)
    given = imported(reference, foundation("", ""))
    provider = kubernetes.Provider("cluster", kubeconfig=given.cluster.kubeconfig)
    on = pulumi.ResourceOptions(provider=provider)
    kubernetes.core.v1.ConfigMap("where", data={"uri": given.metadata.uri}, opts=on)
    kubernetes.core.v1.Secret("login", string_data={"password": given.admin.login.value}, opts=on)
    kubernetes.core.v1.ServiceAccount(
        "a", metadata={"annotations": given.identities.workloads["a/development"].annotations}, opts=on
    )
