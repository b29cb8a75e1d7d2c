"""Proxies before the databases: they pool connections, and hold them while a standby takes over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pulumi_aws import ec2, iam, rds, vpc

import pulumi
from flyteform_aws import documents
from flyteform_aws.databases import PORT

if TYPE_CHECKING:
    from flyteform_aws.cluster import EksCluster
    from flyteform_aws.context import Context
    from flyteform_aws.databases import Databases
    from flyteform_aws.keys import Keys
    from flyteform_aws.network import Network

_IDLE_SECONDS: Final = 1800
_WAIT_SECONDS: Final = 30
# A few are left to people who look into the database themselves.
_PERCENT: Final = 90


def make_proxies(
    context: Context, network: Network, cluster: EksCluster, databases: Databases, keys: Keys
) -> dict[str, pulumi.Output[str]]:
    """Make a proxy for each database; return their addresses by its name."""
    group = _reachable(context, network, cluster, databases.group)
    return {name: _proxy(context, name, network, group, databases, keys) for name in databases.instances}


def _proxy(
    context: Context, name: str, network: Network, group: ec2.SecurityGroup, databases: Databases, keys: Keys
) -> pulumi.Output[str]:
    database = databases.instances[name]
    proxy = rds.Proxy(
        name,
        name=context.name(name),
        engine_family="POSTGRESQL",
        role_arn=_role(context, name, database.secret, keys).arn,
        vpc_subnet_ids=[subnet.id for subnet in network.data],
        vpc_security_group_ids=[group.id],
        require_tls=True,
        idle_client_timeout=_IDLE_SECONDS,
        auths=[
            rds.ProxyAuthArgs(
                auth_scheme="SECRETS",
                client_password_auth_type="POSTGRES_SCRAM_SHA_256",  # noqa: S106 - the name of a scheme
                iam_auth="DISABLED",
                secret_arn=database.secret,
            )
        ],
        opts=context.options(),
    )
    targets = rds.ProxyDefaultTargetGroup(
        name,
        db_proxy_name=proxy.name,
        connection_pool_config=rds.ProxyDefaultTargetGroupConnectionPoolConfigArgs(
            max_connections_percent=_PERCENT, connection_borrow_timeout=_WAIT_SECONDS
        ),
        opts=context.options(),
    )
    rds.ProxyTarget(
        name,
        db_proxy_name=proxy.name,
        target_group_name=targets.name,
        db_instance_identifier=database.instance.identifier,
        opts=context.options(),
    )
    return proxy.endpoint


def _role(context: Context, name: str, secret: pulumi.Output[str], keys: Keys) -> iam.Role:
    """Make who reads the one secret that the proxy logs in with."""
    role = iam.Role(
        f"proxy-{name}",
        name=context.name("proxy", name),
        assume_role_policy=documents.text(documents.trust("rds.amazonaws.com")),
        opts=context.options(),
    )
    manager = f"secretsmanager.{context.config.aws.region}.amazonaws.com"
    iam.RolePolicy(
        f"proxy-{name}",
        role=role.id,
        policy=pulumi.Output.all(secret, keys.data.arn).apply(
            lambda arns: documents.text(documents.read_secrets([arns[0]], arns[1], manager))
        ),
        opts=context.options(),
    )
    return role


def _reachable(
    context: Context, network: Network, cluster: EksCluster, databases: ec2.SecurityGroup
) -> ec2.SecurityGroup:
    """Let the cluster's pods reach the proxies, and these the databases, and nobody else."""
    group = ec2.SecurityGroup(
        "proxies",
        vpc_id=network.vpc.id,
        description="Proxies of PostgreSQL, for the cluster's pods",
        tags=context.named("proxies"),
        opts=context.options(),
    )
    _ingress(context, "proxies-from-cluster", group.id, cluster.security_group)
    _ingress(context, "databases-from-proxies", databases.id, group.id)
    vpc.SecurityGroupEgressRule(
        "proxies-to-databases",
        security_group_id=group.id,
        referenced_security_group_id=databases.id,
        ip_protocol="tcp",
        from_port=PORT,
        to_port=PORT,
        opts=context.options(),
    )
    return group


def _ingress(context: Context, name: str, group: pulumi.Input[str], caller: pulumi.Input[str]) -> None:
    vpc.SecurityGroupIngressRule(
        name,
        security_group_id=group,
        referenced_security_group_id=caller,
        ip_protocol="tcp",
        from_port=PORT,
        to_port=PORT,
        opts=context.options(),
    )
