"""Makes a package of this directory, under a name that no task has, and runs it."""
# ruff: noqa: PTH100, PTH118, PTH120 - pathlib is several times slower to load

from __future__ import annotations

import importlib.util
import os
import sys

NAME = "flyteform_template"


def adopt(directory: str) -> None:
    """Make the directory known as a package, and take it off the import path: its names are none of the task's."""
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != directory]
    source = os.path.join(directory, "__init__.py")
    spec = importlib.util.spec_from_file_location(NAME, source, submodule_search_locations=[directory])
    if spec is not None and spec.loader is not None:
        package = sys.modules[NAME] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(package)


if __name__ == "__main__":
    adopt(os.path.dirname(os.path.abspath(__file__)))
    importlib.import_module(f"{NAME}.starting").main(sys.argv[1], int(sys.argv[2]))
