"""Which cached results are lost: by Flyte's own naming, counted, with the reason."""

from __future__ import annotations

import pytest
from flyteidl.core import tasks_pb2, types_pb2
from flyteidl.core.literals_pb2 import LiteralMap
from hypothesis import given

from flyteform.provision.impact.cache import dataset_of, judge_cache
from flyteform.provision.impact.facts import Count, Facts
from flyteform.provision.impact.model import Impact, Severity
from flyteform.provision.model import Address, Kind
from flyteform_dataplane.catalog import dataset_of as dataset_of_the_data_plane
from flyteform_dataplane.ports import CacheKey
from support.plans import tasks

SEVEN = Count(7)
TASK = Address(Kind.TASK, "p", "d", "m.t")


def cached_task(version: str = "1") -> tasks_pb2.TaskTemplate:
    """Return a cached task with an integer input."""
    template = tasks_pb2.TaskTemplate()
    template.id.project, template.id.domain, template.id.name = "p", "d", "m.t"
    template.metadata.discoverable = True
    template.metadata.discovery_version = version
    template.interface.inputs.variables["x"].type.simple = types_pb2.INTEGER
    return template


def judged(new: tasks_pb2.TaskTemplate, count: Count | None = SEVEN, address: Address = TASK) -> list[Impact]:
    """Return what replacing the cached task means when so many results are kept."""
    old = cached_task()
    return list(judge_cache(TASK, old, address, new, Facts(cached={dataset_of(TASK, old): count})))


@given(tasks())
def test_the_dataset_is_the_data_planes(template: tasks_pb2.TaskTemplate) -> None:
    """Plans look where the data plane writes, for every interface and cache version."""
    template.id.project, template.id.domain, template.id.name = "p", "d", "m.t"
    theirs = dataset_of_the_data_plane(CacheKey(template, LiteralMap(), ()))
    ours = dataset_of(TASK, template)
    assert (ours.project, ours.domain, ours.name, ours.version) == (
        theirs.project, theirs.domain, theirs.name, theirs.version
    )  # fmt: skip


def other_inputs() -> tasks_pb2.TaskTemplate:
    """Return the task with another input."""
    template = cached_task()
    template.interface.inputs.variables["y"].type.simple = types_pb2.INTEGER
    return template


def other_description() -> tasks_pb2.TaskTemplate:
    """Return the task with another description of its input."""
    template = cached_task()
    template.interface.inputs.variables["x"].description = "the number"
    return template


def ignoring() -> tasks_pb2.TaskTemplate:
    """Return the task with an input that does not count."""
    template = cached_task()
    template.metadata.cache_ignore_input_vars.append("x")
    return template


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (cached_task("2"), "cache version 1 → 2"),
        (other_inputs(), "inputs changed"),
        (other_description(), "inputs changed (in their descriptions only)"),
        (ignoring(), "other inputs are ignored"),
        (tasks_pb2.TaskTemplate(), "the task is no longer cached"),
    ],
)
def test_lost_results_with_their_number_and_the_reason(new: tasks_pb2.TaskTemplate, reason: str) -> None:
    """Another dataset or tag than before: the number of results and why."""
    (impact,) = judged(new)
    assert impact.severity is Severity.WARNING
    assert impact.message == f"7 cached results will no longer be found: {reason}"


def test_a_renamed_task_loses_its_results() -> None:
    """Results are kept by the name of the task."""
    (impact,) = judged(cached_task(), address=Address(Kind.TASK, "p", "d", "m.other"))
    assert "the task is called m.other now" in impact.message


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (Count(0), "nothing is cached so far: cache version 1 → 2"),
        (Count(1), "1 cached result will no longer be found: cache version 1 → 2"),
        (Count(500, more=True), "500 or more cached results will no longer be found: cache version 1 → 2"),
        (None, "an unknown number of cached results will no longer be found: cache version 1 → 2"),
    ],
)
def test_what_cannot_be_counted_is_unknown(count: Count | None, message: str) -> None:
    """An empty dataset is no loss, a full count is a minimum, and without DataCatalog nobody knows."""
    (impact,) = judged(cached_task("2"), count)
    assert impact.message == message


def test_results_of_the_old_code_stay() -> None:
    """A new version of the code with the same cache version goes on with the old results: that is said."""
    new = cached_task()
    new.container.image = "i:2"
    (impact,) = judged(new)
    assert impact.severity is Severity.INFO
    assert impact.message == "7 cached results will go on being found: cache version 1 stays"
    assert judged(new, Count(0)) == []


def test_a_task_that_was_not_cached_has_nothing_to_lose() -> None:
    """Turning the cache on is no impact."""
    plain = tasks_pb2.TaskTemplate()
    assert list(judge_cache(TASK, plain, TASK, cached_task(), Facts())) == []
