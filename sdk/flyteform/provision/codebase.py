"""The first-party code of all tasks of a declaration: which modules each can reach, and one bundle per source root."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flyteform.authoring import MapTask
from flyteform.provision.bundle import pack
from flyteform.provision.code import Source, SourceTree, is_installed, root_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform.authoring import PythonTask
    from flyteform.provision.model import Address


@dataclass(slots=True)
class Sources:
    """What has been read of source roots; declarations of one process may share it."""

    trees: dict[Path, SourceTree] = field(default_factory=dict)
    reached: dict[tuple[Path, str], tuple[Source, ...]] = field(default_factory=dict)
    roots: dict[tuple[str, str], Path | None] = field(default_factory=dict)


@dataclass(slots=True)
class CodeBase:
    """Collects the code of tasks."""

    _sources: Sources = field(default_factory=Sources)
    _tasks: dict[Address, tuple[Path, tuple[Source, ...]]] = field(default_factory=dict)

    def add(self, address: Address, task: PythonTask | MapTask) -> bool:
        """Take in a task's code; return whether it has to be shipped, as it is not installed."""
        function = task.task if isinstance(task, MapTask) else task
        return self.add_module(address, function.module, _file(function))

    def add_module(self, address: Address, module: str, file: str) -> bool:
        """Take in the module of a task, which lies in `file`; return whether it has to be shipped."""
        roots = self._sources.roots
        if (module, file) not in roots:
            roots[module, file] = _root(module, Path(file).resolve())
        root = roots[module, file]
        if root is None:
            return False
        key = (root, module)
        reached = self._sources.reached
        if key not in reached:
            tree = self._sources.trees.setdefault(root, SourceTree(root))
            reached[key] = tree.reachable(module)
        self._tasks[address] = (root, reached[key])
        return True

    def digests(self, address: Address) -> Mapping[str, str]:
        """Return the digests of the modules that a task can reach, by module name."""
        _, sources = self._tasks.get(address, (None, ()))
        return {source.name: source.digest for source in sources}

    def bundles(self) -> tuple[dict[str, bytes], dict[Address, str]]:
        """Return the bundles by digest, and the digest of each task's."""
        by_root: dict[Path, dict[str, Source]] = {}
        for root, sources in self._tasks.values():
            by_root.setdefault(root, {}).update({source.name: source for source in sources})
        packed = {root: pack(sources.values()) for root, sources in by_root.items()}
        return (
            {bundle.digest: bundle.data for bundle in packed.values()},
            {address: packed[root].digest for address, (root, _) in self._tasks.items()},
        )


def _file(task: PythonTask) -> str:
    module = sys.modules.get(task.module)
    return getattr(module, "__file__", None) or task.fn.__code__.co_filename


def _root(module: str, file: Path) -> Path | None:
    """Return the source root of a module, None if it is an installed one."""
    return None if is_installed(file) else root_of(module, file)
