"""What the platform has, as far as a declaration needs to know it. Plain frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform.provision.model import Address


@dataclass(frozen=True, slots=True)
class ObservedProject:
    """A project as the platform has it; `domains` are those that the platform is configured with."""

    name: str
    description: str
    labels: Mapping[str, str]
    archived: bool
    domains: frozenset[str]


@dataclass(frozen=True, slots=True)
class ObservedVersion:
    """One registered version, taken apart into fields.

    `spec` is the serialised TaskTemplate (of the compiled task), WorkflowTemplate (of the compiled closure's primary,
    its ids as registered) or LaunchPlanSpec.
    """

    version: str
    fields: Mapping[str, str]
    spec: bytes = b""


@dataclass(frozen=True, slots=True)
class Observed:
    """The part of the world that a plan depends on.

    `registered` has the wanted versions that exist; `present` has the names of which any version exists, and
    `archived` those among them that are archived; `latest` has the newest version of names whose wanted version
    does not exist; `active` has the active version of launch plans; `settings` has what is set that has no versions:
    serialised MatchingAttributes, LaunchPlanPolicy, NamedEntityMetadata and Cluster. `executions` counts those that
    clusters have.
    """

    projects: Mapping[str, ObservedProject] = field(default_factory=dict)
    registered: frozenset[tuple[Address, str]] = frozenset()
    present: frozenset[Address] = frozenset()
    archived: frozenset[Address] = frozenset()
    latest: Mapping[Address, ObservedVersion] = field(default_factory=dict)
    active: Mapping[Address, ObservedVersion] = field(default_factory=dict)
    settings: Mapping[Address, bytes] = field(default_factory=dict)
    executions: Mapping[Address, int] = field(default_factory=dict)
