"""`flyteform get`: look at what the platform has."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import click

from flyteform.cli.options import connection_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteform.client.config import ConnectionOptions
    from flyteform.proto.flyteform.v1.clusters_pb2 import Cluster

_HEADER = ("NAME", "STATE", "LABELS", "HELD", "STORAGE", "RESOURCES", "VERSION", "SINCE")


@click.group(short_help="Look at the clusters of a platform.")
def get() -> None:
    """Look at what the platform has."""


@get.command(short_help="List the clusters with their states.")
@click.option("--json", "as_json", is_flag=True, help="Print all that is known of them, as JSON.")
@connection_options
def clusters(*, connection: ConnectionOptions, as_json: bool) -> None:
    """List the clusters: their states, labels with weights, and how many executions each holds."""
    found = asyncio.run(_clusters(connection))
    if as_json:
        click.echo(json.dumps({"clusters": [cluster_document(one) for one in found]}, indent=2))
    elif found:
        _show_table([_HEADER, *(_row(one) for one in found)])
    else:
        click.echo("No clusters.")


async def _clusters(connection: ConnectionOptions) -> list[Cluster]:
    from flyteform.cli.cluster import calling

    async with calling(connection) as client:
        return [one async for one in client.list()]


def cluster_document(cluster: Cluster) -> dict[str, object]:
    """Return the cluster as JSON has it: the names of its message's fields, and states without their prefix."""
    from google.protobuf.json_format import MessageToDict

    document: dict[str, object] = MessageToDict(cluster, preserving_proto_field_name=True)
    return {**document, "state": state_of(cluster)}


def state_of(cluster: Cluster) -> str:
    """Return the state in a word."""
    from flyteform.proto.flyteform.v1.clusters_pb2 import ClusterState

    return ClusterState.Name(cluster.state).removeprefix("CLUSTER_STATE_")


def _row(cluster: Cluster) -> tuple[str, ...]:
    state = state_of(cluster)
    if cluster.drained:
        state = "DRAINED"
    elif cluster.HasField("lost_since") and state != "LOST":
        state += ", not heard"
    held = str(cluster.held)
    if cluster.leased:
        held += f" (+{cluster.leased} offered)"
    since = cluster.lost_since if cluster.HasField("lost_since") else cluster.last_heartbeat
    heard = cluster.HasField("last_heartbeat") or cluster.HasField("lost_since")
    return (
        cluster.name,
        state,
        _labels(cluster),
        held,
        cluster.storage.prefix or "-",
        _resources(cluster),
        cluster.version or "-",
        since.ToDatetime().strftime("%Y-%m-%d %H:%M:%S") if heard else "-",
    )


def _labels(cluster: Cluster) -> str:
    weight = cluster.spec.weight if cluster.spec.HasField("weight") else 1.0
    parts = [f"{label}={one:g}" for label, one in sorted(cluster.spec.labels.items())]
    return ", ".join([*parts, *([f"(any)={weight:g}"] if weight != 1 else [])]) or "-"


def _resources(cluster: Cluster) -> str:
    if not cluster.HasField("sync"):
        return "-"
    if cluster.sync.in_sync:
        return "in sync"
    errors = len(cluster.sync.errors)
    return f"{errors} errors" if errors else "behind"


def _show_table(rows: Sequence[tuple[str, ...]]) -> None:
    printable = [tuple("".join(c if c.isprintable() else "?" for c in cell) for cell in row) for row in rows]
    widths = [max(len(row[column]) for row in printable) for column in range(len(_HEADER))]
    for row in printable:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
