"""What the platform keeps in clusters: templates filled in for each project, domain and cluster.

Values are put into texts after a template was parsed: none of them can make another resource, or another field.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from flyteform.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Json: TypeAlias = Any

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
# A word that YAML takes for a text, wherever a placeholder stands.
_WORD = re.compile(r"flyteform-value-([A-Za-z_][A-Za-z0-9_]*)-")


@dataclass(frozen=True, slots=True)
class Template:
    """Resources with placeholders, as parsed. An `optional` one is left out where one of its values is not known."""

    name: str
    documents: tuple[Json, ...]
    optional: bool = False

    @classmethod
    def parse(cls, name: str, text: str, *, optional: bool = False) -> Template:
        """Read YAML with `{{ name }}` in it, as Flyte's templates have; `InvalidInputError` says what is wrong."""
        import yaml  # only where there are templates of an operator

        try:
            found = list(yaml.safe_load_all(_PLACEHOLDER.sub(r"flyteform-value-\1-", text)))
        except yaml.YAMLError as error:
            raise InvalidInputError(f"the template {name} is no YAML: {error}") from error
        documents = tuple(one for one in found if one is not None)
        for one in documents:
            if not isinstance(one, dict) or not one.get("kind") or not one.get("apiVersion"):
                raise InvalidInputError(f"the template {name} holds something that is no Kubernetes resource")
        return cls(name, documents, optional)


@dataclass(frozen=True, slots=True)
class ClusterResourcesConfig:
    """What an operator decides: templates, and values for all and by domain."""

    templates: tuple[Template, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    by_domain: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    # How often what clusters shall have is looked at, if no change brings that about.
    interval: timedelta = timedelta(seconds=10)


def _value(name: str) -> str:
    return f"flyteform-value-{name}-"


def _resource(kind: str, name: str, **rest: Json) -> Json:
    metadata = {"name": name, **({} if kind == "Namespace" else {"namespace": _value("namespace")})}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata | rest.pop("metadata", {}), **rest}


_LABELS: Final = {f"flyteform.org/{name}": _value(name) for name in ("project", "domain")}
_QUOTA: Final = {"limits.cpu": _value("projectQuotaCpu"), "limits.memory": _value("projectQuotaMemory")}
_LIMITS: Final = {"cpu": _value("defaultCpu"), "memory": _value("defaultMemory")}

# With Flyte's names of the values; where none is set there is the namespace alone.
BUILT_IN: Final = (
    Template("namespace", (_resource("Namespace", _value("namespace"), metadata={"labels": _LABELS}),)),
    Template("project-quota", (_resource("ResourceQuota", "project-quota", spec={"hard": _QUOTA}),), optional=True),
    Template(
        "default-limits",
        (_resource("LimitRange", "default-limits", spec={"limits": [{"type": "Container", "default": _LIMITS}]}),),
        optional=True,
    ),
    Template("service-account", (_resource("ServiceAccount", _value("serviceAccount")),), optional=True),
)


@dataclass(frozen=True, slots=True)
class Desired:
    """The resources that a cluster shall have, each in JSON; `problems` are those that could not be made."""

    resources: tuple[str, ...]
    problems: tuple[tuple[str, str], ...] = ()

    @property
    def hash(self) -> str:
        """The same for the same resources and problems, however they came about."""
        whole = json.dumps([self.resources, self.problems])
        return hashlib.sha256(whole.encode()).hexdigest()


def desired(
    config: ClusterResourcesConfig,
    cluster: str,
    cluster_values: Mapping[str, str],
    spaces: Iterable[tuple[str, str]],
    attributes: Mapping[tuple[str, str], Mapping[str, str]],
) -> Desired:
    """Return what a cluster shall have for these pairs of project and domain; `attributes` are set for pairs.

    Of two values for one name the more particular one counts: what is set for the project and domain, then what is
    declared of the cluster, then the domain's, then the platform's.
    """
    resources: list[str] = []
    problems: list[tuple[str, str]] = []
    for project, domain in sorted(spaces):
        namespace = f"{project}-{domain}"
        values = {
            **config.values,
            **config.by_domain.get(domain, {}),
            **cluster_values,
            **attributes.get((project, domain), {}),
            "project": project,
            "domain": domain,
            "namespace": namespace,
            "cluster": cluster,
        }
        for template in config.templates or BUILT_IN:
            missing = sorted(_names(template.documents) - values.keys())
            if not missing:
                resources += [_text(_filled(one, values)) for one in template.documents]
            elif not template.optional:
                wanted = ", ".join(missing)
                problems.append((f"{template.name} for {namespace}", f"no value is set for {wanted}"))
    return Desired(tuple(resources), tuple(problems))


def _text(document: Json) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def _names(node: Json) -> set[str]:
    match node:
        case str():
            return set(_WORD.findall(node))
        case dict():
            return {name for pair in node.items() for part in pair for name in _names(part)}
        case list() | tuple():
            return {name for part in node for name in _names(part)}
        case _:
            return set()


def _filled(node: Json, values: Mapping[str, str]) -> Json:
    match node:
        case str():
            return _WORD.sub(lambda match: values[match[1]], node)
        case dict():
            return {_filled(key, values): _filled(value, values) for key, value in node.items()}
        case list():
            return _filled_list(node, values)
        case _:
            return node


def _filled_list(nodes: Sequence[Json], values: Mapping[str, str]) -> list[Json]:
    return [_filled(node, values) for node in nodes]
