"""`LaunchPlan`: a workflow with inputs and a schedule of its own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from flyteform.authoring import places
from flyteform.authoring.interface import Interface, check_value
from flyteform.errors import DefinitionError, FlyteformError
from flyteform.types.registry import family_of
from flyteform.types.times import DatetimeFamily

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform.authoring.schedules import Schedule
    from flyteform.authoring.workflows import Workflow


@dataclass(frozen=True, eq=False)
class LaunchPlan:
    """How a workflow is started: under what name, with which inputs, and when by itself.

    `default_inputs` can be replaced at each start, `fixed_inputs` cannot. Raises `DefinitionError` for inputs that
    the workflow does not have or that are of another type, and for a schedule that leaves an input without a value.
    """

    name: str
    workflow: Workflow
    default_inputs: Mapping[str, Any] = field(default_factory=dict)
    fixed_inputs: Mapping[str, Any] = field(default_factory=dict)
    schedule: Schedule | None = None

    def __post_init__(self) -> None:
        """Check the inputs against the workflow's interface."""
        from flyteform.authoring.workflows import Workflow

        place = f"{places.of_caller()}: LaunchPlan"
        if not isinstance(self.workflow, Workflow):
            raise DefinitionError(
                f"{place} takes a workflow, not {self.workflow!r}", remedy="decorate it with @workflow"
            )
        place = f"{place} {self.name}"
        twice = next((name for name in self.fixed_inputs if name in self.default_inputs), None)
        if twice is not None:
            raise DefinitionError(f"{place}: the input {twice!r} is both fixed and a default")
        for kind in ("default_inputs", "fixed_inputs"):
            object.__setattr__(self, kind, self._checked(getattr(self, kind), f"{place}: {kind}"))
        self._check_schedule(place)

    @classmethod
    def get_or_create(
        cls,
        workflow: Workflow,
        name: str | None = None,
        default_inputs: Mapping[str, Any] | None = None,
        fixed_inputs: Mapping[str, Any] | None = None,
        schedule: Schedule | None = None,
    ) -> LaunchPlan:
        """Return a launch plan; without a name it is the workflow's default one (written as in Flyte's SDK)."""
        name = name if name is not None else getattr(workflow, "name", "")
        return cls(name, workflow, default_inputs or {}, fixed_inputs or {}, schedule)

    @property
    def short_name(self) -> str:
        """Its name."""
        return self.name

    @property
    def subject(self) -> str:
        """What messages call it."""
        return f"launch plan {self.name}"

    @property
    def place(self) -> str:
        """Where its workflow is declared."""
        return self.workflow.place

    @cached_property
    def interface(self) -> Interface:
        """The workflow's interface with this plan's defaults, without what is fixed."""
        inputs = tuple(
            replace(one, default=self.default_inputs.get(one.name, one.default))
            for one in self.workflow.interface.inputs
            if one.name not in self.fixed_inputs
        )
        return replace(self.workflow.interface, inputs=inputs)

    def _checked(self, inputs: Mapping[str, Any], place: str) -> dict[str, Any]:
        interface = self.workflow.interface
        try:
            interface.refuse_unknown(inputs, self.workflow.subject)
            return {
                name: check_value(value, interface.inputs_by_name[name].python_type, f"input {name!r}")
                for name, value in sorted(inputs.items())
            }
        except FlyteformError as error:
            raise DefinitionError(f"{place}: {error.message}", remedy=error.remedy) from error

    def _check_schedule(self, place: str) -> None:
        if self.schedule is None:
            return
        kickoff = self.schedule.kickoff_time_input_arg
        inputs = self.interface.inputs_by_name
        if kickoff is not None:
            one = inputs.get(kickoff)
            if one is None or not isinstance(family_of(one.python_type), DatetimeFamily):
                raise DefinitionError(
                    f"{place}: kickoff_time_input_arg names {kickoff!r}, which is no free input of type datetime",
                    remedy=f"add the input {kickoff}: {datetime.__name__} to {self.workflow.subject}",
                )
        for one in inputs.values():
            if one.required and one.name != kickoff:
                raise DefinitionError(
                    f"{place}: the schedule leaves the input {one.name!r} without a value",
                    remedy="give it in default_inputs or fixed_inputs",
                )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Add a node to the workflow being declared, or run the workflow with this plan's inputs."""
        from flyteform.authoring.calls import call

        return call(self, args, kwargs)

    def __repr__(self) -> str:
        """Name it."""
        return f"<launch plan {self.name}>"
