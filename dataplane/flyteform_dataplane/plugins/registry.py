"""Which plugin runs which task type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform_dataplane.errors import UserError
from flyteform_dataplane.plugins.container import ContainerPlugin
from flyteform_dataplane.plugins.echo import EchoPlugin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteform_dataplane.plugins.ports import Plugin


class Registry:
    """Task types and their plugins."""

    def __init__(self, plugins: Iterable[Plugin]) -> None:
        self._plugins = {task_type: plugin for plugin in plugins for task_type in plugin.task_types}

    def plugin(self, task_type: str) -> Plugin:
        """Return the plugin of a task type; `UserError` if there is none."""
        try:
            return self._plugins[task_type]
        except KeyError:
            known = ", ".join(sorted(self._plugins))
            raise UserError(
                f"no plugin of this data plane runs tasks of type {task_type!r}", remedy=f"it runs {known}"
            ) from None


def default_registry() -> Registry:
    """Return the plugins that need nothing but an executor."""
    return Registry((ContainerPlugin(), EchoPlugin()))
