"""Load a declaration: run its modules and gather what they declare."""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyteform.authoring import LaunchPlan as AuthoredLaunchPlan
from flyteform.authoring import PythonTask
from flyteform.authoring import Workflow as AuthoredWorkflow
from flyteform.authoring.loading import load_module
from flyteform.errors import InvalidInputError
from flyteform.provision.code import is_installed
from flyteform.provision.errors import DeclarationError
from flyteform.provision.resources import LaunchPlan, Resource, Task, Workflow, collecting, is_flytekit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_NOT_DECLARATIONS = frozenset({"conftest.py", "setup.py"})


def load_resources(path: Path) -> tuple[Resource, ...]:
    """Return what the module, or every module of the directory, declares, in order.

    Modules that declare no resource at all stand for all that they define: tasks, workflows and launch plans.
    `InvalidInputError` for a path that is wrong or a module that cannot be loaded, `DeclarationError` if there is
    nothing to provision.
    """
    files = _module_files(path)
    with collecting() as declared:
        modules = _load(files)
    found = tuple(declared) or tuple(resource for module in modules for resource in _defined(module))
    if not found:
        raise DeclarationError(
            f"{path} declares nothing",
            remedy="define a @workflow in it, or declare resources of flyteform.provision (Project, Workflow, …)",
        )
    return found


def _module_files(path: Path) -> list[Path]:
    """Return the files to load: the one given, or those of a directory and of the packages in it."""
    if not path.is_dir():
        return [path]
    files = [file for file in sorted(path.rglob("*.py")) if _is_declaration(file, path)]
    if not files:
        raise InvalidInputError(f"{path} has no Python module in it", remedy="name a file or a directory of modules")
    return files


def _is_declaration(file: Path, directory: Path) -> bool:
    folders = file.relative_to(directory).parents
    packages = all((directory / folder / "__init__.py").is_file() for folder in folders if folder != Path())
    return packages and file.name not in _NOT_DECLARATIONS and not file.name.startswith((".", "test_"))


def _load(files: list[Path]) -> list[ModuleType]:
    """Load the files anew, as a declaration runs when it is loaded, and what it declared before is of no use."""
    importlib.invalidate_caches()
    for root in {_root(file) for file in files}:
        for name in [name for name, module in sys.modules.items() if _is_first_party(name, module, root)]:
            del sys.modules[name]
        # Another declaration with modules of the same names may have been loaded from elsewhere before.
        sys.path[:] = [str(root), *(entry for entry in sys.path if entry != str(root))]
    with _sources_only():
        return [load_module(file).module for file in files]


@contextmanager
def _sources_only() -> Iterator[None]:
    """Leave no byte code behind.

    Python takes it for current when size and second are the source's, so a quick edit (a script's, say) would be
    planned as if it had not been made.
    """
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _root(file: Path) -> Path:
    """Return the first directory upwards that is no package."""
    folder = file.resolve().parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _is_first_party(name: str, module: ModuleType, root: Path) -> bool:
    """Tell whether importing the name from `root` would give the module, or another one in its place."""
    file = getattr(module, "__file__", None)
    if file is None or name.partition(".")[0] == "flyteform" or is_installed(Path(file)):
        return False
    base = root.joinpath(*name.split("."))
    return base.with_name(f"{base.name}.py").is_file() or (base / "__init__.py").is_file()


def _defined(module: ModuleType) -> Iterator[Resource]:
    """Yield a resource for all that a module defines itself; what it only imports belongs to another one."""
    values = {id(value): value for value in vars(module).values()}.values()
    for value in values:
        if isinstance(value, AuthoredLaunchPlan):
            yield LaunchPlan(value)
        elif isinstance(value, AuthoredWorkflow) and _is_of(value.name, module):
            yield Workflow(value)
        elif isinstance(value, PythonTask) and _is_of(value.name, module):
            yield Task(value)
        elif is_flytekit(value):
            yield from _defined_with_flytekit(value, module)


def _defined_with_flytekit(value: Any, module: ModuleType) -> Iterator[Resource]:
    from flyteform.provision import flytekit

    if flytekit.is_reference(value):
        return
    if flytekit.is_launch_plan(value):
        yield LaunchPlan(value)
    elif flytekit.is_workflow(value) and _is_of(value.name, module):
        yield Workflow(value)
    elif flytekit.is_task(value) and _is_of(value.name, module):
        yield Task(value)


def _is_of(name: str, module: ModuleType) -> bool:
    return name.rpartition(".")[0] == module.__name__
