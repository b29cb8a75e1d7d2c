"""Which plugin runs a task type, with and without overrides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from flyteidl.admin.matchable_resource_pb2 import PluginOverride
from flyteidl.core.tasks_pb2 import TaskTemplate

from flyteform_dataplane.errors import UserError
from flyteform_dataplane.plugins.registry import Registry, default_registry

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap

    from flyteform_dataplane.plugins.ports import TaskContext


@dataclass
class Named:
    """A plugin for SQL."""

    id: str
    task_types: tuple[str, ...] = ("sql",)

    def prepare(self, context: TaskContext) -> LiteralMap:
        """Return the task's inputs."""
        return context.inputs


REGISTRY = Registry((Named("presto"), Named("athena"), Named("echo", ("echo",))))


def override(*plugins: str, task_type: str = "sql", default: bool = False) -> PluginOverride:
    """Make one."""
    behavior = PluginOverride.USE_DEFAULT if default else PluginOverride.FAIL
    return PluginOverride(task_type=task_type, plugin_id=plugins, missing_plugin_behavior=behavior)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], "presto"),
        ([override("athena")], "athena"),
        ([override("hive", "athena", "presto")], "athena"),
        ([override("hive", default=True)], "presto"),
        ([override("echo", task_type="echo")], "presto"),
        ([override()], "presto"),
    ],
)
async def test_first_plugin_that_is_there_is_taken(overrides: list[PluginOverride], expected: str) -> None:
    """The type's first plugin unless an override names another; of several names the first that is here."""
    assert (await REGISTRY.plugin(TaskTemplate(type="sql"), overrides)).id == expected


async def test_missing_plugin_fails_the_task_in_one_sentence() -> None:
    """An override that must hold and cannot names what is missing and what there is; so does an unknown type."""
    with pytest.raises(UserError, match="'sql' are to run on hive or echo, which") as refusal:
        await REGISTRY.plugin(TaskTemplate(type="sql"), [override("hive", "echo")])
    assert "presto, athena" in (refusal.value.remedy or "")
    with pytest.raises(UserError, match="no plugin of this data plane runs tasks of type 'spark'"):
        await default_registry().plugin(TaskTemplate(type="spark"))
