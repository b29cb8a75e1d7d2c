"""The template program is a stranger in the interpreters that it runs in, and must get on with all of them."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flyteform_dataplane.process import template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.attempts import Bench

MODULES = sorted(Path(template.__file__).parent.glob("*.py"))


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield the top-level names of what a module imports at run time; relative imports begin with a dot."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name.split(".")[0] for alias in node.names)
            case ast.ImportFrom():
                yield "." if node.level == 1 else "." * node.level + (node.module or "").split(".")[0]
            case _:
                pass


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_any_interpreter_can_read_it(module: Path) -> None:
    """Each module is Python 3.9 and imports the standard library and its neighbours only."""
    tree = ast.parse(module.read_text(), feature_version=(3, 9))
    assert set(imported(tree)) <= sys.stdlib_module_names | {"."}


async def test_the_template_shadows_no_module_of_a_task(bench: Bench, tmp_path: Path) -> None:
    """A task's module may have the name of any of the template's, which lie on no import path of the attempt."""
    code = tmp_path / "code"
    code.mkdir()
    names = [module.stem for module in MODULES if not module.stem.startswith("__")]
    for name in names:
        (code / f"{name}.py").write_text("mine = True\n")
    attempt = bench.warm(
        f"import importlib, sys\nprint(all(importlib.import_module(name).mine for name in {names!r}))\n"
        f"print({str(MODULES[0].parent)!r} in sys.path)",
        environment={"PYTHONPATH": str(code)},
    )
    run = await attempt.start()
    assert (await run.end()).exit_code == 0
    assert run.log.split() == ["True", "False"]
