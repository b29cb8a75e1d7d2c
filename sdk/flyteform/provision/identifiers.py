"""Addresses as FlyteIDL names them."""

from __future__ import annotations

from flyteidl.core.identifier_pb2 import LAUNCH_PLAN, TASK, WORKFLOW, Identifier

from flyteform.provision.model import Address, Kind

RESOURCE_TYPES = {Kind.TASK: TASK, Kind.WORKFLOW: WORKFLOW, Kind.LAUNCH_PLAN: LAUNCH_PLAN}


def identifier_of(address: Address, version: str) -> Identifier:
    """Return FlyteIDL's name of one version of a task, workflow or launch plan."""
    return Identifier(
        resource_type=RESOURCE_TYPES[address.kind],
        project=address.project,
        domain=address.domain,
        name=address.name,
        version=version,
    )
