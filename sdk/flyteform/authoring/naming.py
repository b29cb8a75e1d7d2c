"""Names of entities: the module in which a function can be imported elsewhere."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def module_name(fn: Callable[..., Any]) -> str:
    """Return the module of a function; for a script that runs itself, the name under which it can be imported."""
    if fn.__module__ != "__main__":
        return fn.__module__
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:  # python -m package.module
        return str(spec.name).removesuffix(".__main__")
    path = getattr(main, "__file__", None)
    return importable_name(path)[0] if path else "__main__"


def importable_name(path: str) -> tuple[str, str]:
    """Return the dotted name of a source file and the folder from which that name can be imported.

    The folder is the first one upwards that is no package, that is, has no `__init__.py`.
    """
    folder, filename = os.path.split(os.path.abspath(path))  # noqa: PTH100 - pathlib is slow to load
    parts = [] if filename == "__init__.py" else [filename.removesuffix(".py")]
    while os.path.isfile(os.path.join(folder, "__init__.py")):  # noqa: PTH113,PTH118 - as above
        folder, package = os.path.split(folder)
        parts.insert(0, package)
    return ".".join(parts), folder
