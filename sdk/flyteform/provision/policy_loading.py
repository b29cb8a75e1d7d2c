"""Find the policies that `--policy FILE|MODULE` names."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from flyteform.provision.errors import PolicyError
from flyteform.provision.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

_LIST = "POLICIES"


def load_policies(names: Iterable[str]) -> tuple[Policy, ...]:
    """Return the policies of the files and modules, in order.

    A module's policies are those of its list `POLICIES`, if it has one; otherwise those that it defines or configures.
    `PolicyError` says what is wrong with a file or a module.
    """
    return tuple(found for name in names for found in _policies(name, _module(name)))


def _policies(name: str, module: ModuleType) -> list[Policy]:
    listed = getattr(module, _LIST, None)
    if listed is None:
        values = [each for each in vars(module).values() if isinstance(each, Policy)]
        found = [each for each in values if each.module in (None, module.__name__)]
    else:
        found = list(listed) if isinstance(listed, (list, tuple)) else []
    if not found or not all(isinstance(each, Policy) for each in found):
        raise PolicyError(
            f"{name} has no policies",
            remedy="decorate a function with @policy of flyteform.provision.policy, or list some in POLICIES",
        )
    return found


def _module(name: str) -> ModuleType:
    path = Path(name)
    if path.suffix == ".py" or path.is_file():
        return _from_file(path)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise PolicyError(
                f"there is no module and no file {name!r} with policies", remedy="name a .py file or a module"
            ) from error
        raise _broken(name, error) from error
    except (Exception, SystemExit) as error:  # what users' code raises cannot be foreseen
        raise _broken(name, error) from error


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise PolicyError(f"there is no file {path} with policies", remedy="name a .py file or a module")
    # A name of its own: it must not stand in the way of a module of the declaration.
    name = f"flyteform_policies_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PolicyError(f"{path} is no Python file", remedy="name a .py file or a module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # as above
        del sys.modules[name]
        raise _broken(str(path), error) from error
    finally:
        sys.path.remove(folder)
    return module


def _broken(name: str, error: BaseException) -> PolicyError:
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    if isinstance(error, SyntaxError):
        where = f"{error.filename}:{error.lineno}"
    else:
        where = f"{lines[-1].filename}:{lines[-1].lineno}" if lines else name
    return PolicyError(f"policies of {name} cannot be loaded: {type(error).__name__} at {where}: {error}")
