"""From a user's file to its module and the entities in it."""

from __future__ import annotations

import difflib
import importlib.util
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flyteform.authoring import places
from flyteform.authoring.launch_plans import LaunchPlan
from flyteform.authoring.naming import importable_name
from flyteform.authoring.tasks import PythonTask
from flyteform.authoring.workflows import Workflow
from flyteform.errors import FlyteformError, InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from flyteform.authoring.entity import Entity


@dataclass(frozen=True, slots=True)
class LoadedModule:
    """A user's module, its file, and the folder from which its name can be imported."""

    module: ModuleType
    path: Path
    root: Path

    def entities(self) -> Mapping[str, Entity]:
        """Return the tasks, workflows and launch plans of the module by the names they have there."""
        found = {
            name: one for name, one in vars(self.module).items() if isinstance(one, PythonTask | Workflow | LaunchPlan)
        }
        own = self.module.__name__
        return {name: one for name, one in found.items() if isinstance(one, LaunchPlan) or one.module == own} or found

    def find(self, name: str) -> Entity:
        """Return the entity of that name; `NotFoundError` lists what there is."""
        found = self.entities()
        if name in found:
            return found[name]
        near = difflib.get_close_matches(name, found, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        known = ", ".join(found)
        raise NotFoundError(
            f"{places.shown(str(self.path))} has no workflow or task {name!r}{hint}",
            remedy=f"it has: {known}" if known else "decorate a function with @workflow or @task",
        )


def load_module(path: str | Path) -> LoadedModule:
    """Import a user's Python file, under the name by which other processes can import it too.

    Raises `NotFoundError` if there is no such file, and `InvalidInputError` that names the line if it cannot be
    imported.
    """
    path = Path(path).resolve()
    shown = places.shown(str(path))
    if path.is_dir():
        raise InvalidInputError(f"{shown} is a folder", remedy="name the Python file")
    if not path.is_file():
        raise NotFoundError(f"there is no file {shown}", remedy="check the path")
    if path.suffix != ".py":
        raise InvalidInputError(f"{shown} is no Python file", remedy="name a file that ends in .py")
    name, root = importable_name(str(path))
    if not all(part.isidentifier() for part in name.split(".")):
        raise InvalidInputError(
            f"{shown}: {name!r} cannot be the name of a module", remedy="use letters, digits and underscores"
        )
    if root not in sys.path:
        sys.path.insert(0, root)
    return LoadedModule(module=_imported(name, path, shown), path=path, root=Path(root))


def _imported(name: str, path: Path, shown: str) -> ModuleType:
    known = sys.modules.get(name)
    if known is not None:
        if Path(getattr(known, "__file__", None) or "").resolve() == path:
            return known
        raise InvalidInputError(
            f"{shown}: another module is named {name!r} already ({getattr(known, '__file__', 'built in')})",
            remedy="rename the file",
        )
    try:
        if "." in name:
            importlib.import_module(name.rpartition(".")[0])
        return _executed(name, path)
    except FlyteformError:
        raise
    except SyntaxError as error:
        where = f"{places.shown(error.filename or shown)}:{error.lineno}"
        raise InvalidInputError(f"{where}: {error.msg}", remedy="correct the syntax") from error
    except (Exception, SystemExit) as error:
        raise _import_failure(error, path, shown) from error


def _executed(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InvalidInputError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _import_failure(error: BaseException, path: Path, shown: str) -> InvalidInputError:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not places.is_ours(frame.filename)]
    own = [frame for frame in frames if Path(frame.filename).resolve() == path]
    where = f"{shown}:{own[-1].lineno}" if own else shown
    remedy = None
    if isinstance(error, ModuleNotFoundError) and error.name:
        remedy = f"install the package that has {error.name.partition('.')[0]!r}, or correct the name"
    return InvalidInputError(f"{where}: {type(error).__name__}: {error}", remedy=remedy)
