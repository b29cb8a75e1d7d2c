"""IAM documents as data: who may take a role, and what it may do. Pure, so that tests can enforce them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Document = dict[str, Any]
_READ = ["s3:GetObject"]
_WRITE = ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
_KEY = ["kms:Decrypt", "kms:GenerateDataKey"]


def text(document: Document) -> str:
    """Return a document as IAM takes it, the same text each time."""
    return json.dumps(document, sort_keys=True)


def policy(*statements: Document) -> Document:
    """Return a policy of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(
    actions: Sequence[str], resources: Any, *, sid: str = "", when: Mapping[str, Mapping[str, Any]] | None = None
) -> Document:
    """Return a statement that allows actions on resources, under conditions."""
    statement: Document = {"Effect": "Allow", "Action": list(actions), "Resource": resources}
    if sid:
        statement["Sid"] = sid
    if when:
        statement["Condition"] = {operator: dict(tests) for operator, tests in when.items()}
    return statement


def trust(service: str, actions: Sequence[str] = ("sts:AssumeRole",)) -> Document:
    """Let a service of AWS take the role."""
    return policy({"Effect": "Allow", "Principal": {"Service": service}, "Action": list(actions)})


def trust_pods(cluster_arn: str, namespace: str, service_account: str) -> Document:
    """Let the pods of one service account in one cluster take the role, by EKS Pod Identity."""
    document = trust("pods.eks.amazonaws.com", ["sts:AssumeRole", "sts:TagSession"])
    document["Statement"][0]["Condition"] = {
        "StringEquals": {
            "aws:RequestTag/kubernetes-namespace": namespace,
            "aws:RequestTag/kubernetes-service-account": service_account,
            "aws:RequestTag/eks-cluster-arn": cluster_arn,
        }
    }
    return document


def flow_logs(group: Any) -> Document:
    """Let flow logs be written to their group, whose ARN may be an output."""
    actions = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    return policy(allow(actions, group.apply(lambda arn: [arn, f"{arn}:*"])))


def objects(bucket: str, prefixes: Sequence[str], *, sid: str, write: bool = True) -> list[Document]:
    """Let objects below prefixes (with their slash or dash at the end) be read, written and listed, and no others."""
    return [
        allow([*_READ, *(_WRITE if write else ())], [f"{bucket}/{prefix}*" for prefix in prefixes], sid=sid),
        allow(
            ["s3:ListBucket"],
            bucket,
            sid=f"{sid}List",
            when={"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}},
        ),
    ]


def key_through(service: str, key: str) -> Document:
    """Let a key be used by a service of AWS in one's name (`s3.eu-west-1.amazonaws.com`), never by oneself."""
    return allow(_KEY, key, sid="Key", when={"StringEquals": {"kms:ViaService": service}})


def control_plane(metadata: str, key: str, s3: str) -> Document:
    """Let the control plane keep metadata and uploads; what tasks write is none of its business."""
    return policy(*objects(metadata, ("metadata/", "uploads/"), sid="Metadata"), key_through(s3, key))


def data_plane(metadata: str, raw: str, key: str, s3: str) -> Document:
    """Let the operator keep what executions hand from node to node, read bundles, and sign URLs of outputs."""
    return policy(
        *objects(metadata, ("metadata/propeller/",), sid="Executions"),
        *objects(metadata, ("metadata/", "uploads/"), sid="Metadata", write=False),
        *objects(raw, ("raw/",), sid="Raw"),
        key_through(s3, key),
    )


def workload(metadata: str, raw: str, key: str, s3: str, project: str, domain: str) -> Document:
    """Let the tasks of one project's domain read and write what is its own, and nothing else."""
    return policy(
        *objects(metadata, (f"metadata/propeller/{project}-{domain}-",), sid="Executions"),
        *objects(metadata, (f"uploads/{project}/{domain}/",), sid="Bundles", write=False),
        *objects(raw, (f"raw/{project}/{domain}/",), sid="Raw"),
        key_through(s3, key),
    )


def read_secrets(arns: Sequence[str], key: str, service: str) -> Document:
    """Let named secrets be read."""
    return policy(
        allow(["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"], list(arns), sid="Secrets"),
        allow(["kms:Decrypt"], key, sid="Key", when={"StringEquals": {"kms:ViaService": service}}),
    )


def read_metrics(workspace: str) -> Document:
    """Let what one workspace has measured be read."""
    return policy(
        allow(
            ["aps:QueryMetrics", "aps:GetLabels", "aps:GetSeries", "aps:GetMetricMetadata", "aps:DescribeWorkspace"],
            workspace,
            sid="Read",
        ),
        allow(["aps:ListWorkspaces"], "*", sid="Look"),
    )


def write_metrics(workspace: str) -> Document:
    """Let Prometheus write to one workspace."""
    return policy(allow(["aps:RemoteWrite"], workspace, sid="Write"))


def cached_images(repositories: Sequence[str]) -> Document:
    """Let the first pull of a public image make the repository that keeps its copy."""
    return policy(allow(["ecr:BatchImportUpstreamImage", "ecr:CreateRepository"], list(repositories), sid="Copies"))


def only_encrypted(bucket: str) -> Document:
    """Refuse everybody whose connection is not encrypted."""
    return policy(
        {
            "Sid": "EncryptedConnections",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [bucket, f"{bucket}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    )


def access_logs(bucket: str, account: str) -> Document:
    """Let S3 write the access logs of this account's buckets; refuse connections that are not encrypted."""
    document = only_encrypted(bucket)
    document["Statement"].append(
        {
            "Sid": "AccessLogs",
            "Effect": "Allow",
            "Principal": {"Service": "logging.s3.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": f"{bucket}/*",
            "Condition": {"StringEquals": {"aws:SourceAccount": account}},
        }
    )
    return document


def autoscaler(cluster: str) -> Document:
    """Let the autoscaler change the size of this cluster's groups of nodes, and look at what there is."""
    owned = {"StringEquals": {f"aws:ResourceTag/k8s.io/cluster-autoscaler/{cluster}": "owned"}}
    looks = [
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeAutoScalingInstances",
        "autoscaling:DescribeLaunchConfigurations",
        "autoscaling:DescribeScalingActivities",
        "autoscaling:DescribeTags",
        "ec2:DescribeImages",
        "ec2:DescribeInstanceTypes",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:GetInstanceTypesFromInstanceRequirements",
        "eks:DescribeNodegroup",
    ]
    changes = ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
    return policy(allow(changes, "*", sid="Scale", when=owned), allow(looks, "*", sid="Look"))


def load_balancers(cluster: str) -> Document:
    """Let the load-balancer controller make what Services ask for, and change only what it made for this cluster."""
    tag = "elbv2.k8s.aws/cluster"
    ours = {"StringEquals": {f"aws:ResourceTag/{tag}": cluster}}
    asked = {"StringEquals": {f"aws:RequestTag/{tag}": cluster}}
    looks = [
        "ec2:DescribeAccountAttributes",
        "ec2:DescribeAvailabilityZones",
        "ec2:DescribeInstances",
        "ec2:DescribeInternetGateways",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeRouteTables",
        "ec2:DescribeTags",
        "ec2:GetSecurityGroupsForVpc",
        "ec2:DescribeVpcs",
        "elasticloadbalancing:Describe*",
        "acm:DescribeCertificate",
        "acm:ListCertificates",
    ]
    creates = [
        "ec2:CreateSecurityGroup",
        "elasticloadbalancing:CreateLoadBalancer",
        "elasticloadbalancing:CreateTargetGroup",
    ]
    changes = [
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:RevokeSecurityGroupIngress",
        "ec2:DeleteSecurityGroup",
        "elasticloadbalancing:CreateListener",
        "elasticloadbalancing:CreateRule",
        "elasticloadbalancing:DeleteListener",
        "elasticloadbalancing:DeleteLoadBalancer",
        "elasticloadbalancing:DeleteRule",
        "elasticloadbalancing:DeleteTargetGroup",
        "elasticloadbalancing:DeregisterTargets",
        "elasticloadbalancing:ModifyListener",
        "elasticloadbalancing:ModifyListenerAttributes",
        "elasticloadbalancing:ModifyLoadBalancerAttributes",
        "elasticloadbalancing:ModifyRule",
        "elasticloadbalancing:ModifyTargetGroup",
        "elasticloadbalancing:ModifyTargetGroupAttributes",
        "elasticloadbalancing:RegisterTargets",
        "elasticloadbalancing:SetSecurityGroups",
        "elasticloadbalancing:SetSubnets",
    ]
    tags = ["ec2:CreateTags", "elasticloadbalancing:AddTags"]
    return policy(
        allow(looks, "*", sid="Look"),
        allow(creates, "*", sid="Create", when=asked),
        allow(changes, "*", sid="Change", when=ours),
        allow(tags, "*", sid="TagNew", when=asked),
    )


def records(partition: str, zone: str) -> Document:
    """Let records of one zone be changed."""
    looks = ["route53:ListHostedZones", "route53:ListTagsForResources"]
    changes = ["route53:ChangeResourceRecordSets", "route53:ListResourceRecordSets", "route53:ListTagsForResource"]
    return policy(
        allow(changes, f"arn:{partition}:route53:::hostedzone/{zone}", sid="Records"), allow(looks, "*", sid="Look")
    )
