"""Tries calls as somebody with a policy, against moto, which enforces it. Read from stdin and answered as JSON.

Given {"buckets": [...], "policy": {...}, "calls": [[operation, bucket, key], ...]}; answers a list of "allowed" and
"denied". moto does not look at conditions: what a condition refuses has to be asserted on the document.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import boto3
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core import set_initial_no_auth_action_count

ROLE = "tested"
# What AWS answers who may do it: the object may be missing all the same.
_MISSING = {"NoSuchKey", "404", "NoSuchBucket"}


def run(asked: dict[str, Any]) -> list[str]:
    """Return what each call was answered."""

    # Each bucket, the role, its policy, and being who has the role, are made without rights.
    @set_initial_no_auth_action_count(len(asked["buckets"]) + 3)
    def tried() -> list[str]:
        s3 = boto3.client("s3", region_name="us-east-1")
        for bucket in asked["buckets"]:
            s3.create_bucket(Bucket=bucket)
        iam = boto3.client("iam", region_name="us-east-1")
        trust = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}],
        }
        arn = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        iam.put_role_policy(RoleName=ROLE, PolicyName=ROLE, PolicyDocument=json.dumps(asked["policy"]))
        sts = boto3.client("sts", region_name="us-east-1")
        given = sts.assume_role(RoleArn=arn, RoleSessionName=ROLE)["Credentials"]
        somebody = boto3.client(
            "s3",
            region_name="us-east-1",
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
        )
        return [_answer(somebody, *call) for call in asked["calls"]]

    with mock_aws():
        return tried()


def _answer(client: Any, operation: str, bucket: str, key: str) -> str:
    arguments: dict[str, Any] = {"Bucket": bucket}
    if key:
        arguments["Key"] = key
    if operation == "put_object":
        arguments["Body"] = b"x"
    try:
        getattr(client, operation)(**arguments)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _MISSING:
            return "allowed"
        return "denied" if code in {"AccessDenied", "403"} else code
    return "allowed"


if __name__ == "__main__":
    json.dump(run(json.load(sys.stdin)), sys.stdout)
