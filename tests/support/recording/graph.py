"""A recording as tests look at it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from support.pulumi.wire import SECRET, SIGNATURE, UNKNOWN, manifest, plain

Json = dict[str, Any]


@dataclass(frozen=True)
class Secret:
    """A value that Pulumi keeps encrypted."""

    value: Any


@dataclass(frozen=True)
class Resource:
    """One resource: `inputs` without marks of secrets, `marked` with `Secret` around them."""

    urn: str
    type: str
    name: str
    inputs: Json
    marked: Json
    options: Json

    @property
    def short(self) -> str:
        """Type and name."""
        return f"{self.type} {self.name}"

    @property
    def protect(self) -> bool:
        """Whether Pulumi refuses to delete it."""
        return bool(self.options.get("protect"))

    @property
    def ignored(self) -> list[str]:
        """Paths whose changes are ignored."""
        return list(self.options.get("ignoreChanges", ()))

    @property
    def dependencies(self) -> list[str]:
        """Type and name of what it depends on, `parent$` chains left out."""
        return [shorten(each) for each in self.options.get("dependencies", ())]

    def at(self, path: str, default: Any = None) -> Any:
        """Return the input at a path such as `spec.template.spec.containers[0].image`."""
        value: Any = self.inputs
        for part in path.replace("[", ".[").split("."):
            match value:
                case list() if part.startswith("["):
                    index = int(part[1:-1])
                    value = value[index] if index < len(value) else None
                case dict():
                    value = value.get(part)
                case _:
                    value = None
        return default if value is None else value

    def is_secret(self, path: str) -> bool:
        """Tell whether the input at a path, or something above it, is secret."""
        value: Any = self.marked
        for part in path.replace("[", ".[").split("."):
            if isinstance(value, Secret):
                return True
            value = value[int(part[1:-1])] if part.startswith("[") else value[part]
        return isinstance(value, Secret)


@dataclass(frozen=True)
class Graph:
    """All that one stack's program registered."""

    cloud: str
    stack: str
    resources: list[Resource]
    outputs: Json
    marked_outputs: Json
    invokes: list[Json]
    problems: list[str]
    said: list[str]
    failure: str = ""
    document: Json = field(default_factory=dict)

    @property
    def manifests(self) -> list[Json]:
        """Return what goes to a cluster, as its API server gets it."""
        return [manifest(each.inputs) for each in self.resources if {"apiVersion", "kind"} <= set(each.inputs)]

    def of(self, token: str) -> list[Resource]:
        """Return resources by type; a short one (`s3/bucket:Bucket`, `Deployment`) matches at its end."""
        ends = (f":{token}", f"/{token}")
        return [each for each in self.resources if each.type == token or each.type.endswith(ends)]

    def one(self, token: str, name: str = "") -> Resource:
        """Return the one resource of a type, and of a name where several have the type."""
        found = [each for each in self.of(token) if not name or each.name == name]
        assert len(found) == 1, f"{len(found)} of {token} {name}: {[each.name for each in self.of(token)]}"
        return found[0]

    def check(self) -> Graph:
        """Raise if the program failed, or sent what its SDK does not know."""
        assert not self.failure, self.failure
        assert not self.problems, "\n".join(self.problems)
        return self


def read_graph(cloud: str, stack: str, document: Json) -> Graph:
    """Return a recording."""
    return Graph(
        cloud,
        stack,
        [_resource(each) for each in document["resources"]],
        plain(document["outputs"]),
        _marked(document["outputs"]),
        document["invokes"],
        document["problems"],
        document["said"],
        document.get("failure", ""),
        document,
    )


def shorten(urn: str) -> str:
    """Return type and name of a URN."""
    _, _, types, name = urn.split("::", 3)
    return f"{types.rpartition('$')[2]} {name}"


def _resource(noted: Json) -> Resource:
    options = {key: value for key, value in noted.items() if key not in ("urn", "type", "name", "inputs")}
    inputs = noted["inputs"]
    return Resource(noted["urn"], noted["type"], noted["name"], plain(inputs), _marked(inputs), options)


def _marked(value: Any) -> Any:
    match value:
        case dict() if value.get(SIGNATURE) == SECRET:
            return Secret(plain(value.get("value", UNKNOWN)))
        case dict():
            return {key: _marked(each) for key, each in value.items()}
        case list():
            return [_marked(each) for each in value]
        case _:
            return value
