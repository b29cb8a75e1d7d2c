"""What Google Cloud would answer: addresses, names and what else resources are referred to by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]
_PROJECT = "example-project"


def _account(_: str, inputs: Json) -> Json:
    email = f"{inputs['accountId']}@{_PROJECT}.iam.gserviceaccount.com"
    return {"email": email, "name": f"projects/{_PROJECT}/serviceAccounts/{email}"}


def _cluster(_: str, inputs: Json) -> Json:
    endpoint = {"endpoint": "gke-example.europe-west1.gke.goog"}
    settings = inputs["controlPlaneEndpointsConfig"]
    return {
        "id": f"projects/{_PROJECT}/locations/{inputs['location']}/clusters/{inputs['name']}",
        "controlPlaneEndpointsConfig": {**settings, "dnsEndpointConfig": {**settings["dnsEndpointConfig"], **endpoint}},
    }


def _database(name: str, inputs: Json) -> Json:
    authority = {"cert": f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----"}
    return {
        "privateIpAddress": "10.66.192.3",
        "connectionName": f"{_PROJECT}:{inputs['region']}:{inputs['name']}",
        "serverCaCerts": [authority],
    }


def _proof(_: str, inputs: Json) -> Json:
    record = {"name": f"_acme-challenge.{inputs['domain']}.", "type": "CNAME", "data": "proof.authorize.goog."}
    return {"id": f"projects/{_PROJECT}/dnsAuthorizations/{inputs['name']}", "dnsResourceRecords": [record]}


OUTPUTS: dict[str, Callable[[str, Json], Json]] = {
    "gcp:serviceaccount/account:Account": _account,
    "gcp:container/cluster:Cluster": _cluster,
    "gcp:projects/serviceIdentity:ServiceIdentity": lambda _, inputs: {
        "email": f"service-100000000003@gcp-sa-{inputs['service'].partition('.')[0]}.iam.gserviceaccount.com"
    },
    "gcp:sql/databaseInstance:DatabaseInstance": _database,
    "gcp:compute/globalAddress:GlobalAddress": lambda _, inputs: {"address": inputs.get("address") or "192.0.2.10"},
    "gcp:certificatemanager/dnsAuthorization:DnsAuthorization": _proof,
    "gcp:kms/cryptoKey:CryptoKey": lambda name, inputs: {"id": f"{inputs['keyRing']}/cryptoKeys/{name}"},
}
INVOKES: dict[str, Callable[[Json], Json]] = {
    "gcp:compute/getZones:getZones": lambda asked: {
        "id": "zones",
        "project": asked["project"],
        "region": asked["region"],
        "names": [f"{asked['region']}-{letter}" for letter in "bcd"],
    },
    "gcp:storage/getProjectServiceAccount:getProjectServiceAccount": lambda asked: {
        "id": "account",
        "project": asked["project"],
        "emailAddress": "service-100000000003@gs-project-accounts.iam.gserviceaccount.com",
    },
}
