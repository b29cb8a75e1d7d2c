"""Settings of projects, domains and workflows: Flyte's eight matchable attributes, typed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from flyteform.authoring import Resources
from flyteform.errors import DefinitionError
from flyteform.provision.resources.base import Resource, check_count, check_texts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from flyteform import authoring
    from flyteform.provision.resources.entities import Project, Workflow


@dataclass(frozen=True)
class TaskResources:
    """What tasks get that ask for nothing, and the most that they may ask for."""

    attribute: ClassVar[str] = "task_resource"
    defaults: Resources | None = None
    limits: Resources | None = None

    def __post_init__(self) -> None:
        """Refuse what says nothing."""
        if not any(isinstance(each, Resources) for each in (self.defaults, self.limits)):
            raise DefinitionError("TaskResources say nothing", remedy='write for example limits=Resources(cpu="4")')


@dataclass(frozen=True)
class ClusterResources:
    """Values for the templates of the objects that each cluster has for a project and domain (quotas, roles)."""

    attribute: ClassVar[str] = "cluster_resource"
    values: Mapping[str, str]

    def __post_init__(self) -> None:
        """Refuse what is no text."""
        check_texts("ClusterResources", "values", self.values)


@dataclass(frozen=True)
class ExecutionQueues:
    """Tags of the queues that executions go to."""

    attribute: ClassVar[str] = "execution_queue"
    tags: tuple[str, ...]

    def __post_init__(self) -> None:
        """Take one text too."""
        given: object = self.tags
        object.__setattr__(self, "tags", (given,) if isinstance(given, str) else tuple(self.tags))


@dataclass(frozen=True)
class ExecutionClusterLabel:
    """Executions go to clusters with this label."""

    attribute: ClassVar[str] = "execution_cluster_label"
    label: str


@dataclass(frozen=True)
class QualityOfService:
    """How long executions may wait before they run: by a tier of the platform's, or as a time."""

    attribute: ClassVar[str] = "quality_of_service_specification"
    tier: Literal["HIGH", "MEDIUM", "LOW"] | None = None
    queueing_budget: timedelta | None = None

    def __post_init__(self) -> None:
        """Refuse both and neither."""
        if (self.tier is None) == (self.queueing_budget is None):
            raise DefinitionError("QualityOfService takes a tier or a queueing_budget")
        if self.tier not in (None, "HIGH", "MEDIUM", "LOW"):
            raise DefinitionError(f"QualityOfService: {self.tier!r} is no tier", remedy="use HIGH, MEDIUM or LOW")


@dataclass(frozen=True)
class PluginOverride:
    """Which plugins, tried in order, run a task type, and what happens where a data plane has none of them."""

    plugins: tuple[str, ...]
    missing: Literal["FAIL", "USE_DEFAULT"] = "FAIL"

    def __post_init__(self) -> None:
        """Take one text too; refuse none."""
        given: object = self.plugins
        object.__setattr__(self, "plugins", (given,) if isinstance(given, str) else tuple(self.plugins))
        if not self.plugins or self.missing not in ("FAIL", "USE_DEFAULT"):
            raise DefinitionError("PluginOverride takes plugins, and missing as FAIL or USE_DEFAULT")


@dataclass(frozen=True)
class PluginOverrides:
    """Plugins by task type."""

    attribute: ClassVar[str] = "plugin_override"
    by_task_type: Mapping[str, PluginOverride]

    def __post_init__(self) -> None:
        """Refuse what is none."""
        if not self.by_task_type or not all(isinstance(each, PluginOverride) for each in self.by_task_type.values()):
            raise DefinitionError(
                "PluginOverrides takes a PluginOverride by task type",
                remedy='write for example PluginOverrides({"spark": PluginOverride("spark_on_k8s")})',
            )


@dataclass(frozen=True)
class ExecutionSettings:
    """How executions run whose launch plan and caller do not say otherwise."""

    attribute: ClassVar[str] = "workflow_execution_config"
    max_parallelism: int | None = None
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
    environment: Mapping[str, str] | None = None
    raw_output_prefix: str | None = None
    service_account: str | None = None
    iam_role: str | None = None
    interruptible: bool | None = None
    overwrite_cache: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no text or number."""
        for name in ("labels", "annotations", "environment"):
            check_texts("ExecutionSettings", name, getattr(self, name))
        check_count("ExecutionSettings", "max_parallelism", self.max_parallelism)


@dataclass(frozen=True)
class ClusterAssignment:
    """Executions go to clusters of this pool."""

    attribute: ClassVar[str] = "cluster_assignment"
    pool: str


SettingsValue = (
    TaskResources
    | ClusterResources
    | ExecutionQueues
    | ExecutionClusterLabel
    | QualityOfService
    | PluginOverrides
    | ExecutionSettings
    | ClusterAssignment
)


@dataclass(frozen=True, eq=False)
class Settings(Resource):
    """One kind of settings for a project, for one domain of it (`domain`), or for one workflow in that (`workflow`).

    The most specific ones win on the platform. Without `project` they are for the one that the plan is made for.
    """

    value: SettingsValue
    project: Project | str | None = None
    domain: str | None = None
    workflow: authoring.Workflow | Workflow | str | Any | None = field(default=None)

    def __post_init__(self) -> None:
        """Refuse what has no place."""
        if not isinstance(self.value, SettingsValue):
            raise DefinitionError(f"Settings takes TaskResources, ExecutionSettings or the like, not {self.value!r}")
        if self.workflow is not None and self.domain is None and not hasattr(self.workflow, "domain"):
            raise DefinitionError("Settings of a workflow are for one domain", remedy="give domain too")
        super().__post_init__()
