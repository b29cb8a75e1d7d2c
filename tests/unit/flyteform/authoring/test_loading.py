"""A user's file: its module, and clear errors instead of tracebacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from flyteform.authoring import LoadedModule, load_module
from flyteform.errors import FlyteformError, InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

Declare = Callable[[str], LoadedModule]


def failure(path: Path) -> FlyteformError:
    """Return the error of loading a file."""
    with pytest.raises(FlyteformError) as caught:
        load_module(path)
    return caught.value


def test_a_module_in_a_package_has_its_dotted_name(declare: Declare, tmp_path: Path) -> None:
    """Another process can import it by that name from the root."""
    assert declare("x = 1").root == tmp_path
    package = tmp_path / "flow_package" / "inner"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "flow.py").write_text("from . import __name__ as parent\nimport flyteform as fl\n")
    loaded = load_module(package / "flow.py")
    assert loaded.module.__name__ == "flow_package.inner.flow"
    assert loaded.module.parent == "flow_package.inner"
    assert loaded.root == tmp_path


def test_a_file_is_loaded_once(declare: Declare) -> None:
    """Definitions keep their identity."""
    loaded = declare("x = object()")
    assert load_module(loaded.path).module is loaded.module


def test_entities_are_found_by_name(declare: Declare) -> None:
    """A name that is not there gets the nearest one suggested, and all there are."""
    loaded = declare(
        "@fl.task\ndef train(x: int) -> int: ...\n@fl.workflow\ndef wf(x: int) -> int: return train(x=x)\n"
    )
    assert loaded.find("wf") is loaded.module.wf
    with pytest.raises(NotFoundError, match=r"has no workflow or task 'trian'; did you mean 'train'\?") as caught:
        loaded.find("trian")
    assert caught.value.remedy == "it has: train, wf"


def test_a_missing_file(tmp_path: Path) -> None:
    """The path is named."""
    assert "there is no file" in failure(tmp_path / "none.py").message
    assert "is a folder" in failure(tmp_path).message
    (tmp_path / "notes.txt").touch()
    assert "is no Python file" in failure(tmp_path / "notes.txt").message
    (tmp_path / "my-flow.py").touch()
    assert "'my-flow' cannot be the name of a module" in failure(tmp_path / "my-flow.py").message


def test_a_syntax_error_names_its_line(declare: Declare) -> None:
    """No traceback: the line and what is wrong with it."""
    with pytest.raises(InvalidInputError, match=r"flow\d+\.py:3: "):
        declare("x = 1\ndef f(:\n")


def test_an_import_error_names_its_line(declare: Declare) -> None:
    """A package that is not installed is named with what to do about it."""
    with pytest.raises(InvalidInputError, match=r"flow\d+\.py:2: ModuleNotFoundError") as caught:
        declare("import nowhere_to_be_found\n")
    assert "install the package that has 'nowhere_to_be_found'" in (caught.value.remedy or "")


def test_any_other_error_names_its_line_too(declare: Declare) -> None:
    """Whatever the file does while it is loaded, an exit included."""
    with pytest.raises(InvalidInputError, match=r"flow\d+\.py:3: ZeroDivisionError: division by zero"):
        declare("x = 1\ny = 1 / 0\n")
    with pytest.raises(InvalidInputError, match=r"flow\d+\.py:2: SystemExit: 3"):
        declare("raise SystemExit(3)\n")


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    """A file named as a module that is in use would not be the one that tasks import."""
    path = tmp_path / "json.py"
    path.touch()
    assert "another module is named 'json' already" in failure(path).message
