"""What AWS would answer: ARNs, endpoints and what else resources are referred to by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]
_ACCOUNT = "111122223333"
_ISSUER = "https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE"


def _arn(service: str, kind: str, *, region: str = "eu-west-1") -> Callable[[str, Json], Json]:
    return lambda name, inputs: {
        "arn": f"arn:aws:{service}:{region}:{_ACCOUNT}:{kind}{inputs.get('name') or name}",
        "name": inputs.get("name") or name,
    }


def _bucket(name: str, inputs: Json) -> Json:
    bucket = inputs.get("bucket") or name
    return {"id": bucket, "bucket": bucket, "arn": f"arn:aws:s3:::{bucket}"}


def _cluster(_: str, inputs: Json) -> Json:
    return {
        "arn": f"arn:aws:eks:eu-west-1:{_ACCOUNT}:cluster/{inputs['name']}",
        "endpoint": "https://EXAMPLE.eks.amazonaws.com",
        "certificateAuthority": {"data": "Y2VydGlmaWNhdGU="},
        "identities": [{"oidcs": [{"issuer": _ISSUER}]}],
        "vpcConfig": {**inputs["vpcConfig"], "clusterSecurityGroupId": "sg-cluster"},
    }


def _database(name: str, inputs: Json) -> Json:
    identifier = inputs.get("identifier") or name
    return {
        "address": f"{identifier}.example.eu-west-1.rds.amazonaws.com",
        "arn": f"arn:aws:rds:eu-west-1:{_ACCOUNT}:db:{identifier}",
        "masterUserSecrets": [
            {
                "secretArn": f"arn:aws:secretsmanager:eu-west-1:{_ACCOUNT}:secret:rds!{identifier}",
                "secretStatus": "active",
                "kmsKeyId": "key",
            }
        ],
    }


def _certificate(_: str, inputs: Json) -> Json:
    proof = {
        "domainName": inputs["domainName"],
        "resourceRecordName": f"_proof.{inputs['domainName']}",
        "resourceRecordType": "CNAME",
        "resourceRecordValue": "_proof.acm-validations.aws",
    }
    return {
        "arn": f"arn:aws:acm:eu-west-1:{_ACCOUNT}:certificate/{inputs['domainName']}",
        "domainValidationOptions": [proof],
    }


OUTPUTS: dict[str, Callable[[str, Json], Json]] = {
    "aws:iam/role:Role": lambda name, inputs: {
        "id": inputs.get("name") or name,
        "arn": f"arn:aws:iam::{_ACCOUNT}:role/{inputs.get('name') or name}",
    },
    "aws:kms/key:Key": lambda name, _: {"keyId": f"{name}-key", "arn": f"arn:aws:kms:eu-west-1:{_ACCOUNT}:key/{name}"},
    "aws:s3/bucket:Bucket": _bucket,
    "aws:eks/cluster:Cluster": _cluster,
    "aws:eks/nodeGroup:NodeGroup": lambda name, _: {"resources": [{"autoscalingGroups": [{"name": f"eks-{name}"}]}]},
    "aws:rds/instance:Instance": _database,
    "aws:rds/proxy:Proxy": lambda _, inputs: {
        "name": inputs["name"],
        "endpoint": f"{inputs['name']}.proxy-example.eu-west-1.rds.amazonaws.com",
    },
    "aws:rds/proxyDefaultTargetGroup:ProxyDefaultTargetGroup": lambda *_: {"name": "default"},
    "aws:secretsmanager/secret:Secret": _arn("secretsmanager", "secret:"),
    "aws:amp/workspace:Workspace": lambda *_: {
        "arn": f"arn:aws:aps:eu-west-1:{_ACCOUNT}:workspace/ws-example",
        "prometheusEndpoint": "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-example/",
    },
    "aws:acm/certificate:Certificate": _certificate,
    "aws:cloudwatch/logGroup:LogGroup": _arn("logs", "log-group:"),
    "aws:sns/topic:Topic": _arn("sns", ""),
    "aws:backup/vault:Vault": _arn("backup", "backup-vault:"),
    "aws:ec2/launchTemplate:LaunchTemplate": lambda *_: {"latestVersion": 1},
    "aws:route53/record:Record": lambda _, inputs: {"fqdn": inputs["name"]},
}
INVOKES: dict[str, Callable[[Json], Json]] = {
    "aws:index/getAvailabilityZones:getAvailabilityZones": lambda _: {
        "id": "eu-west-1",
        "region": "eu-west-1",
        "names": ["eu-west-1a", "eu-west-1b", "eu-west-1c"],
        "zoneIds": ["euw1-az1", "euw1-az2", "euw1-az3"],
        "groupNames": ["eu-west-1"],
        "state": "available",
    }
}
