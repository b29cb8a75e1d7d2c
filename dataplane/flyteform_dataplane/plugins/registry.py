"""Which plugin runs which task type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.admin.matchable_resource_pb2 import PluginOverride

from flyteform_dataplane.errors import UserError
from flyteform_dataplane.plugins.container import ContainerPlugin
from flyteform_dataplane.plugins.echo import EchoPlugin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteform_dataplane.plugins.ports import Plugin


class Registry:
    """Task types and their plugins: of several for one type, the first runs it unless another is asked for."""

    def __init__(self, plugins: Iterable[Plugin]) -> None:
        self._plugins: dict[str, dict[str, Plugin]] = {}
        for plugin in plugins:
            for task_type in plugin.task_types:
                self._plugins.setdefault(task_type, {}).setdefault(plugin.id, plugin)

    def plugin(self, task_type: str, overrides: Iterable[PluginOverride] = ()) -> Plugin:
        """Return the plugin of a task type, the first one here that an override names; `UserError` if there is none.

        Where the override names none that is here, the type's own plugin runs it only if the override allows that.
        """
        plugins = self._plugins.get(task_type)
        if plugins is None:
            known = ", ".join(sorted(self._plugins))
            raise UserError(f"no plugin of this data plane runs tasks of type {task_type!r}", remedy=f"it runs {known}")
        override = next((one for one in overrides if one.task_type == task_type), None)
        wanted = () if override is None else tuple(override.plugin_id)
        found = next((plugins[plugin_id] for plugin_id in wanted if plugin_id in plugins), None)
        if (
            found is None
            and override is not None
            and wanted
            and override.missing_plugin_behavior == PluginOverride.FAIL
        ):
            raise UserError(
                f"tasks of type {task_type!r} are to run on {' or '.join(wanted)}, which this data plane has not",
                remedy=f"it has {', '.join(plugins)}: change the plugin override, or let it use the default",
            )
        return found or next(iter(plugins.values()))


def default_registry() -> Registry:
    """Return the plugins that need nothing but an executor."""
    return Registry((ContainerPlugin(), EchoPlugin()))
