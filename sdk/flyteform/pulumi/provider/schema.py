"""The package's schema: what Pulumi's tools know the resources by."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flyteform.pulumi.kinds import CONFIGURATION, PACKAGE, TYPES, Property, ResourceType, Shape

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHAPES: dict[Shape, dict[str, Any]] = {
    Shape.TEXT: {"type": "string"},
    Shape.FLAG: {"type": "boolean"},
    Shape.NUMBER: {"type": "integer"},
    Shape.LIST: {"type": "array", "items": {"type": "string"}},
    Shape.TEXTS: {"type": "object", "additionalProperties": {"type": "string"}},
    Shape.TREE: {"type": "object", "additionalProperties": {"$ref": "pulumi.json#/Any"}},
}


def schema(version: str) -> str:
    """Return the schema as JSON."""
    configuration = properties_schema(CONFIGURATION)
    document = {
        "name": PACKAGE,
        "version": version,
        "displayName": "flyteform",
        "description": "Projects, tasks, workflows and launch plans on any FlyteAdmin.",
        "license": "Apache-2.0",
        "language": {"python": {"packageName": "flyteform.pulumi", "respectSchemaVersion": True}},
        "config": {"variables": configuration},
        "provider": {
            "description": "The platform that resources are on.",
            "inputProperties": configuration,
            "properties": {},
        },
        "resources": {token: _resource(each) for token, each in TYPES.items()},
    }
    return json.dumps(document, sort_keys=True)


def _resource(described: ResourceType) -> dict[str, Any]:
    inputs, outputs = described.inputs.values(), described.outputs.values()
    return {
        "description": described.description,
        "inputProperties": properties_schema(inputs),
        "requiredInputs": [each.name for each in inputs if each.required],
        "properties": properties_schema(outputs),
        "required": [each.name for each in outputs if each.required or each.address],
    }


def properties_schema(properties: Iterable[Property]) -> dict[str, Any]:
    """Return what Pulumi's tools know properties by."""
    return {each.name: _property(each) for each in properties}


def _property(described: Property) -> dict[str, Any]:
    document = {**_SHAPES[described.shape], "description": described.description}
    if described.secret:
        document["secret"] = True
    if described.address:
        document["replaceOnChanges"] = True
    return document
