"""Metrics that outlive the cluster: Amazon's Prometheus, and its Grafana to look at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pulumi_aws import amp, cloudwatch, grafana, iam

import pulumi
from flyteform_aws import documents
from flyteform_platform.foundation import Metrics

if TYPE_CHECKING:
    from flyteform_aws.context import Context
    from flyteform_aws.keys import Keys

_READ: Final = "service-role/AmazonGrafanaCloudWatchAccess"


def make_metrics(context: Context, keys: Keys) -> tuple[amp.Workspace, Metrics]:
    """Make both; return the workspace, and where the cluster's Prometheus writes to."""
    region = context.config.aws.region
    logs = cloudwatch.LogGroup(
        "metrics",
        name=f"/aws/prometheus/{context.config.name}",
        retention_in_days=context.config.aws.log_days,
        opts=context.options(),
    )
    workspace = amp.Workspace(
        "metrics",
        alias=context.config.name,
        kms_key_arn=keys.data.arn,
        logging_configuration=amp.WorkspaceLoggingConfigurationArgs(log_group_arn=pulumi.Output.concat(logs.arn, ":*")),
        opts=context.options(protect=context.config.is_production),
    )
    _dashboards(context, workspace)
    return workspace, Metrics(pulumi.Output.concat(workspace.prometheus_endpoint, "api/v1/remote_write"), region)


def _dashboards(context: Context, workspace: amp.Workspace) -> None:
    role = iam.Role(
        "dashboards",
        name=context.name("dashboards"),
        assume_role_policy=documents.text(documents.trust("grafana.amazonaws.com")),
        opts=context.options(),
    )
    iam.RolePolicy(
        "dashboards",
        role=role.id,
        policy=workspace.arn.apply(lambda arn: documents.text(documents.read_metrics(arn))),
        opts=context.options(),
    )
    iam.RolePolicyAttachment(
        "dashboards",
        role=role.name,
        policy_arn=f"arn:{context.config.aws.partition}:iam::aws:policy/{_READ}",
        opts=context.options(),
    )
    grafana.Workspace(
        "dashboards",
        name=context.config.name,
        account_access_type="CURRENT_ACCOUNT",
        # People log in with the organization's directory; there is no password.
        authentication_providers=["AWS_SSO"],
        permission_type="CUSTOMER_MANAGED",
        role_arn=role.arn,
        data_sources=["PROMETHEUS", "CLOUDWATCH"],
        opts=context.options(),
    )
