"""The types of resources and their properties: what the classes, the schema and the checks of the provider share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from flyteform.provision.model import Kind

PACKAGE = "flyteform"


class Shape(Enum):
    """What a property's value looks like."""

    TEXT = "string"
    FLAG = "boolean"
    TEXTS = "texts"  # a map of texts
    TREE = "tree"  # a map of anything


@dataclass(frozen=True, slots=True)
class Property:
    """One property; an output only if it is no input, and both otherwise unless `kept` is False.

    A change of one that is part of the `address` replaces the resource.
    """

    name: str
    shape: Shape
    description: str
    required: bool = False
    address: bool = False
    given: bool = True
    kept: bool = True
    secret: bool = False


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One type of resource."""

    kind: Kind
    token: str
    description: str
    properties: tuple[Property, ...]

    @property
    def inputs(self) -> dict[str, Property]:
        """What a program can give."""
        return {each.name: each for each in self.properties if each.given}

    @property
    def outputs(self) -> dict[str, Property]:
        """What there is once the resource exists."""
        return {each.name: each for each in self.properties if each.kept}


def _place(what: str) -> tuple[Property, ...]:
    return (
        Property("project", Shape.TEXT, f"The project that the {what} is in; the provider's by default.", address=True),
        Property("domain", Shape.TEXT, f"The domain that the {what} is in; the provider's by default.", address=True),
    )


def _versioned(what: str, message: str, *more: Property) -> tuple[Property, ...]:
    return (
        *_place(what),
        Property("name", Shape.TEXT, f"The name of the {what}.", required=True, address=True),
        Property(
            "spec",
            Shape.TREE,
            f"{message} of FlyteIDL as JSON. Its own id is left out; references of the same project and domain name "
            "neither.",
            required=True,
            kept=False,
        ),
        *more,
        Property("version", Shape.TEXT, "The registered version; a digest of the content unless it is given."),
        Property("state", Shape.TEXT, "`active`, or `archived` if somebody archived the name.", given=False),
    )


_CALLS = Property(
    "calls",
    Shape.TEXTS,
    "The versions of what is called, by `task:NAME`, `workflow:NAME` or `launch_plan:NAME`.",
    kept=False,
)

PROJECT = ResourceType(
    Kind.PROJECT,
    f"{PACKAGE}:index:Project",
    "A project. What is left out is left as the platform has it. Deleting it archives it.",
    (
        Property("project", Shape.TEXT, "The id of the project.", required=True, address=True),
        Property("name", Shape.TEXT, "The name for people."),
        Property("description", Shape.TEXT, "What the project is for."),
        Property("labels", Shape.TEXTS, "Labels."),
        Property("state", Shape.TEXT, "`active`, or `archived` if somebody archived it.", given=False),
    ),
)
TASK = ResourceType(
    Kind.TASK,
    f"{PACKAGE}:index:Task",
    "A task. A change registers a new version. Deleting it archives its name.",
    _versioned(
        "task",
        "TaskSpec",
        Property("code", Shape.TEXTS, "The digests of the modules that the task can reach, by name.", kept=False),
        Property("bundle", Shape.TEXT, "The digest of the code bundle that is uploaded for the task.", kept=False),
    ),
)
WORKFLOW = ResourceType(
    Kind.WORKFLOW,
    f"{PACKAGE}:index:Workflow",
    "A workflow. A change registers a new version. Deleting it archives its name.",
    _versioned("workflow", "WorkflowSpec", _CALLS),
)
LAUNCH_PLAN = ResourceType(
    Kind.LAUNCH_PLAN,
    f"{PACKAGE}:index:LaunchPlan",
    "A launch plan. A change registers a new version and activates it. Deleting it deactivates it.",
    _versioned(
        "launch plan",
        "LaunchPlanSpec",
        _CALLS,
        Property(
            "default",
            Shape.FLAG,
            "Whether it is the bare default launch plan of its workflow, whose version it shares.",
            kept=False,
        ),
        Property(
            "active",
            Shape.FLAG,
            "Whether this version is the active one, whose schedule fires (the default); false keeps all inactive.",
        ),
        Property("activeVersion", Shape.TEXT, "The version that is active, empty if none is.", given=False),
    ),
)

TYPES = {each.token: each for each in (PROJECT, TASK, WORKFLOW, LAUNCH_PLAN)}

CONFIGURATION = (
    Property("endpoint", Shape.TEXT, "HOST:PORT of the platform; by default as the flyteform command finds it."),
    Property("insecure", Shape.FLAG, "Whether to speak plain text; by default on loopback addresses only."),
    Property("project", Shape.TEXT, "The project of resources that name none."),
    Property("domain", Shape.TEXT, "The domain of resources that name none."),
    Property("caFile", Shape.TEXT, "A file with the certificates to trust."),
    Property("clientId", Shape.TEXT, "The id of the client to log in as."),
    Property("clientSecret", Shape.TEXT, "The secret of that client.", secret=True),
)
