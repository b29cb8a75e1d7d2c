"""Recordings as files that a reviewer reads, and the comparison with them."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from support.pulumi.wire import UNKNOWN
from support.recording.graph import Secret, shorten

if TYPE_CHECKING:
    from support.recording.graph import Graph, Resource

GOLDENS = Path(__file__).parents[2] / "infra" / "goldens"
UPDATE = "FLYTEFORM_UPDATE_GOLDENS"
_LONGEST = 120


class _Dumper(yaml.SafeDumper):
    """Writes long texts as blocks, and shows what is secret or unknown."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the base class's face
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(Secret, lambda dumper, value: dumper.represent_mapping("!secret", {"value": value.value}))


def rendered(graph: Graph) -> str:
    """Return a recording as YAML: resources by type and name, sorted, then the stack's outputs."""
    resources = {}
    for each in sorted(graph.resources, key=lambda one: (one.type, one.name, one.urn)):
        key = each.short if each.short not in resources else each.urn
        resources[key] = _shown(each)
    document = {"resources": resources, "outputs": _plain(graph.marked_outputs)}
    return yaml.dump(document, Dumper=_Dumper, width=_LONGEST, sort_keys=True, allow_unicode=True)


def compare(graph: Graph, folder: Path = GOLDENS) -> None:
    """Fail where a recording is not as its golden file says; with FLYTEFORM_UPDATE_GOLDENS=1 write the file."""
    path = folder / graph.cloud / f"{graph.stack}.yaml"
    actual = rendered(graph)
    if os.environ.get(UPDATE):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(actual)
        return
    assert path.exists(), f"{path} is missing: run again with {UPDATE}=1 and read what it holds"
    expected = path.read_text()
    lines = difflib.unified_diff(expected.splitlines(), actual.splitlines(), str(path), "recorded", lineterm="", n=4)
    assert actual == expected, f"read the difference, then run with {UPDATE}=1:\n" + "\n".join(lines)


def _shown(resource: Resource) -> dict[str, Any]:
    options = dict(resource.options)
    for key in ("parent", "provider", "deletedWith"):
        if key in options:
            options[key] = shorten(options[key])
    for key in ("dependencies", "replaceWith"):
        if key in options:
            options[key] = sorted(set(map(shorten, options[key])))
    options.pop("providers", None)
    return {"inputs": _plain(resource.marked), **options}


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case _ if value == UNKNOWN:
            return "(unknown)"
        case _:
            return value
