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
    NUMBER = "integer"
    LIST = "list"  # of texts
    TEXTS = "texts"  # a map of texts
    TREE = "tree"  # a map of anything


@dataclass(frozen=True, slots=True)
class Form:
    """What a text has to look like, and what is wrong with one that does not."""

    pattern: str
    problem: str


_IDENTIFIER = "[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"
_WORD = "[^\\s;,()+/]{1,255}"  # FlyteAdmin's filters, by which names are looked up, have no quoting
PLACE = Form(_IDENTIFIER, "is no id: use up to 63 letters, digits, dashes, dots and underscores")
PLACE_OR_ALL = Form(f"({_IDENTIFIER})?", PLACE.problem)
NAME = Form(_WORD, "is no name: leave out spaces and any of ; , ( ) + /, and use at most 255 characters")
SETTINGS_NAME = Form(
    f"({_WORD}/)?(task_resource|cluster_resource|execution_queue|execution_cluster_label|"
    "quality_of_service_specification|plugin_override|workflow_execution_config|cluster_assignment)",
    "is no matchable attribute such as task_resource, or WORKFLOW/task_resource",
)
METADATA_NAME = Form(f"(task|workflow|launch_plan)/{_WORD}", "is none of task/NAME, workflow/NAME and launch_plan/NAME")
CLUSTER_NAME = Form(_IDENTIFIER, "is no name of a cluster: use up to 63 letters, digits, '.', '_' and '-'")
DIGEST = Form("[0-9a-f]{32}", "is no digest of a code bundle")


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
    form: Form | None = None


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


def _place(what: str, domain: Form = PLACE) -> tuple[Property, ...]:
    project = f"The project of the {what}; the provider's by default."
    by_default = "the provider's" if domain is PLACE else "all of them"
    return (
        Property("project", Shape.TEXT, project, address=True, form=PLACE),
        Property(
            "domain", Shape.TEXT, f"The domain of the {what}; {by_default} by default.", address=True, form=domain
        ),
    )


def _versioned(what: str, message: str, *more: Property) -> tuple[Property, ...]:
    return (
        *_place(what),
        Property("name", Shape.TEXT, f"The name of the {what}.", required=True, address=True, form=NAME),
        Property(
            "spec",
            Shape.TREE,
            f"{message} of FlyteIDL as JSON. Its own id is left out; references of the same project and domain name "
            "neither.",
            required=True,
            kept=False,
        ),
        *more,
        Property(
            "version", Shape.TEXT, "The registered version; a digest of the content unless it is given.", form=NAME
        ),
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
        Property("project", Shape.TEXT, "The id of the project.", required=True, address=True, form=PLACE),
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
        Property(
            "bundle",
            Shape.TEXT,
            "The digest of the code bundle that is uploaded for the task.",
            kept=False,
            form=DIGEST,
        ),
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


def _unversioned(what: str, named: str, message: str, name: Form, domain: Form = PLACE) -> tuple[Property, ...]:
    return (
        *_place(what, domain),
        Property("name", Shape.TEXT, named, required=True, address=True, form=name),
        Property("spec", Shape.TREE, f"{message} as JSON.", required=True),
        Property("state", Shape.TEXT, "`active`.", given=False),
    )


SETTINGS = ResourceType(
    Kind.SETTINGS,
    f"{PACKAGE}:index:Settings",
    "One kind of settings (matchable attributes) of a project, of a domain of it, or of a workflow in that. Deleting "
    "it removes them.",
    _unversioned(
        "settings",
        "The attribute, such as `task_resource`; `WORKFLOW/task_resource` for those of one workflow. An empty domain "
        "means the whole project.",
        "MatchingAttributes of FlyteIDL",
        SETTINGS_NAME,
        PLACE_OR_ALL,
    ),
)
POLICY = ResourceType(
    Kind.POLICY,
    f"{PACKAGE}:index:Policy",
    "What a flyteform platform keeps about a launch plan beside Flyte's own message. Deleting it removes it.",
    _unversioned("launch plan", "The name of the launch plan.", "LaunchPlanPolicy of flyteform.v1", NAME),
)
METADATA = ResourceType(
    Kind.METADATA,
    f"{PACKAGE}:index:Metadata",
    "What is said about the name of a task, workflow or launch plan. What is left out of the spec is left alone. "
    "Deleting it removes the description.",
    _unversioned(
        "name", "`task/NAME`, `workflow/NAME` or `launch_plan/NAME`.", "NamedEntityMetadata of FlyteIDL", METADATA_NAME
    ),
)
CLUSTER = ResourceType(
    Kind.CLUSTER,
    f"{PACKAGE}:index:Cluster",
    "A cluster that a flyteform platform leases work to. Deleting it forgets it, which is refused while executions are "
    "on it.",
    (
        Property("name", Shape.TEXT, "The name of the cluster.", required=True, address=True, form=CLUSTER_NAME),
        Property(
            "spec",
            Shape.TREE,
            "ClusterSpec of flyteform.v1 as JSON; with a `state` beside its fields (ready, cordoned or draining) work "
            "is let come or held back, which is left to operators otherwise.",
            required=True,
        ),
        Property("state", Shape.TEXT, "`active`.", given=False),
    ),
)

TYPES = {each.token: each for each in (PROJECT, SETTINGS, TASK, WORKFLOW, LAUNCH_PLAN, POLICY, METADATA, CLUSTER)}

CONFIGURATION = (
    Property("endpoint", Shape.TEXT, "HOST:PORT of the platform; by default as the flyteform command finds it."),
    Property("insecure", Shape.FLAG, "Whether to speak plain text; by default on loopback addresses only."),
    Property("project", Shape.TEXT, "The project of resources that name none."),
    Property("domain", Shape.TEXT, "The domain of resources that name none."),
    Property("caFile", Shape.TEXT, "A file with the certificates to trust."),
    Property("clientId", Shape.TEXT, "The id of the client to log in as."),
    Property("clientSecret", Shape.TEXT, "The secret of that client.", secret=True),
)
