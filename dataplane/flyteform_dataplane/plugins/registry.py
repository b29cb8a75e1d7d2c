"""Which plugin runs which task type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.admin.matchable_resource_pb2 import PluginOverride

from flyteform_dataplane.errors import UserError
from flyteform_dataplane.plugins.connector import ConnectorPlugin
from flyteform_dataplane.plugins.container import ContainerPlugin
from flyteform_dataplane.plugins.echo import EchoPlugin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteidl.core.tasks_pb2 import TaskTemplate

    from flyteform_dataplane.plugins.ports import Connectors, Plugin


class Registry:
    """Task types and their plugins: of several for one type, the first runs it unless another is asked for.

    Types that no plugin names are run by a connector that lists them, then, as in Flyte, by `default` if their tasks
    bring a container. A connector that the user has routed a type to comes before all others.
    """

    def __init__(
        self, plugins: Iterable[Plugin], *, default: Plugin | None = None, connectors: Connectors | None = None
    ) -> None:
        self._plugins: dict[str, dict[str, Plugin]] = {}
        for plugin in plugins:
            for task_type in plugin.task_types:
                self._plugins.setdefault(task_type, {}).setdefault(plugin.id, plugin)
        self._default = default
        self._connectors = connectors
        self._jobs = ConnectorPlugin()

    async def plugin(self, task: TaskTemplate, overrides: Iterable[PluginOverride] = ()) -> Plugin:
        """Return the plugin of a task, the first one here that an override names.

        Where the override names none that is here, the type's own plugin runs it only if the override allows that.
        Raises `UserError` if there is none, `UnavailableError` if a connector that may run it cannot be asked.
        """
        override = next((one for one in overrides if one.task_type == task.type), None)
        wanted = () if override is None else tuple(override.plugin_id)
        plugins = await self._candidates(task, asked=self._jobs.id in wanted)
        if not plugins:
            raise self._unknown(task)
        found = next((plugins[plugin_id] for plugin_id in wanted if plugin_id in plugins), None)
        if (
            found is None
            and override is not None
            and wanted
            and override.missing_plugin_behavior == PluginOverride.FAIL
        ):
            raise UserError(
                f"tasks of type {task.type!r} are to run on {' or '.join(wanted)}, which this data plane has not",
                remedy=f"it has {', '.join(plugins)}: change the plugin override, or let it use the default",
            )
        return found or next(iter(plugins.values()))

    async def _candidates(self, task: TaskTemplate, *, asked: bool) -> dict[str, Plugin]:
        """Return the plugins of a task by their ids, the one that counts first; connectors if need be, or `asked`."""
        own, connectors = self._plugins.get(task.type, {}), self._connectors
        jobs: dict[str, Plugin] = {self._jobs.id: self._jobs}
        if connectors is not None:
            if connectors.routes(task.type):
                return jobs | own
            if (asked or not own) and await connectors.claims(task.type, task.task_type_version):
                return own | jobs
        if not own and self._default is not None and task.WhichOneof("target") == "container":
            return {self._default.id: self._default}
        return own

    def _unknown(self, task: TaskTemplate) -> UserError:
        connectors = " nor connector" if self._connectors is not None else ""
        return UserError(
            f"no plugin{connectors} of this data plane runs tasks of type {task.type!r}",
            remedy=f"it runs {', '.join(sorted(self._plugins))}, what brings a container, and what connectors list",
        )


def default_registry(connectors: Connectors | None = None) -> Registry:
    """Return the plugins that need nothing but an executor, and the connectors."""
    container = ContainerPlugin()
    return Registry((container, EchoPlugin()), default=container, connectors=connectors)
