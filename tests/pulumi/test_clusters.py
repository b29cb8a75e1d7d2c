"""Clusters in Pulumi programs, with keys that come of another resource; refused by a stock platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform.client.clusters import ClusterClient
from flyteform.proto.flyteform.v1 import clusters_pb2
from support.pulumi.stacks import Stack, stack_in

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """import json
import pulumi
from cloud import Value
from flyteform.pulumi import Cluster

keys = Value("keys", json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}))
Cluster(
    "east",
    labels={"gpu": 2},
    identity={"issuer": "https://issuer", "audience": "flyteform", "subject": "system:serviceaccount:a:b",
        "jwks": keys.result},
    storage={"prefix": "s3://east/data"},
    state="ready",
)
Cluster("west", labels=["cpu"])
"""


async def test_a_life(stack: Stack) -> None:
    """Previewed with unknown keys, made, unchanged, changed in place, found drifted, imported, destroyed."""
    clusters = ClusterClient(stack.client.caller)
    stack.write(PROGRAM)
    everything = {"keys": "create", "east": "create", "west": "create"}
    assert (await stack.engine.preview()).check().operations() == everything
    assert (await stack.engine.up()).check().operations() == everything
    east = await clusters.get("east")
    assert east is not None
    assert (dict(east.spec.labels), east.spec.identity.issuer) == ({"gpu": 2.0}, "https://issuer")
    assert '"kid":"k"' in east.spec.identity.jwks
    assert (await stack.engine.up()).check().operations() == {}
    assert (await stack.engine.refresh()).check().operations() == {}

    stack.write(PROGRAM.replace('"gpu": 2', '"gpu": 3').replace('state="ready"', 'state="cordoned"'))
    foreseen = (await stack.engine.preview()).check()
    assert foreseen.step("east").paths == {"spec.labels.gpu": "UPDATE", "spec.state": "UPDATE"}
    (await stack.engine.up()).check()
    east = await clusters.get("east")
    assert east is not None
    assert (east.state, east.spec.labels["gpu"]) == (clusters_pb2.CLUSTER_STATE_CORDONED, 3.0)

    await clusters.cordon("west")
    await clusters.uncordon("east")
    assert (await stack.engine.refresh()).check().operations() == {"east": "update"}
    assert (await stack.engine.up()).check().operations() == {"east": "update"}

    stack.write(PROGRAM.replace('\nCluster(\n    "east"', '\nCluster(\n    "south"').split('Cluster("west"')[0])
    refused = await stack.engine.up()
    assert ["has the same identity" in text for text in refused.errors.values()] == [True]
    stack.write(PROGRAM)
    (await stack.engine.up()).check()
    (await stack.engine.destroy()).check()
    assert [each async for each in clusters.list()] == []


async def test_an_import(stack: Stack) -> None:
    """A cluster that is there is taken over by its name, with a spec that plans to nothing."""
    spec = clusters_pb2.ClusterSpec(labels={"gpu": 1.5}, weight=3)
    await ClusterClient(stack.client.caller).put("east", spec)
    stack.write('from flyteform.pulumi import Cluster\nCluster("east", labels={"gpu": 1.5}, weight=3)\n')
    imported = (await stack.engine.import_resource("flyteform:index:Cluster", "east", "east")).check()
    assert imported.operations() == {"east": "import"}
    assert (await stack.engine.up()).check().operations() == {}
    missing = await stack.engine.import_resource("flyteform:index:Cluster", "other", "other")
    assert missing.errors


async def test_wrong_clusters_fail_the_preview(tmp_path: Path) -> None:
    """Each failure names the property; a stock platform is refused before anything changes."""
    async with stack_in(tmp_path, stock=True) as stack:
        for text, problem in (
            ('Cluster("a b")', "is no name of a cluster"),
            ('Cluster("a", spec={"labels": {"gpu": "x"}})', "is no ClusterSpec"),
            ('Cluster("a", spec={"state": "gone"})', "spec.state"),
            ('Cluster("a")', "stock FlyteAdmin"),
        ):
            stack.write(f"from flyteform.pulumi import Cluster\n{text}\n")
            refused = await stack.engine.preview()
            assert [problem in said for said in refused.errors.values()] == [True], refused.errors
