"""The image that tasks run in, made from this checkout: this machine's Python, and the installed packages it needs."""

from __future__ import annotations

import hashlib
import re
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from tools.kubernetes.images import Image, Script, libraries, python_layer, write_image, write_layer
from tools.kubernetes.settings import CACHE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.kubernetes.images import Content

_ROOT = Path(__file__).parents[2]
_LIBRARY = "/opt/flyteform"
_PROJECT = "flyteform"
# What tasks need beyond the SDK's own requirements: their objects are in S3.
_BESIDE = ("obstore",)
_EXECUTE = """#!/usr/local/bin/python3
import sys
from flyteform.run import main
sys.exit(main())
"""
_NOBODY = "65534"


def task_image(name: str) -> Path:
    """Return the archive of an image in which tasks of this SDK run, as it is in the checkout now."""
    required = _layer("libraries", dict(_libraries()))
    sources = _layer("sdk", dict(_sources()))
    target = CACHE / "images" / f"task-{_digest_of(f'{name} {required.name} {sources.name}')}.tar"
    if not target.exists():
        environment = {"PYTHONPATH": _LIBRARY, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
        layers = (python_layer(), required, sources)
        write_image(Image(name, layers, environment=environment, user=_NOBODY, workdir="/tmp"), target)  # noqa: S108 - where every user may write
    return target


def _libraries() -> Iterator[tuple[str, Content]]:
    """Yield the files of all that the SDK requires, as their installation recorded them."""
    extensions = []
    for distribution in _required():
        for file in distribution.files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                path = Path(str(distribution.locate_file(file)))
                yield f"{_LIBRARY}/{file}", path
                extensions += [path] if file.suffix == ".so" else []
    for library in sorted(libraries(extensions)):
        yield library, Path(library).resolve()


def _sources() -> Iterator[tuple[str, Content]]:
    package = _ROOT / "sdk" / _PROJECT
    for path in sorted(package.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            yield f"{_LIBRARY}/{path.relative_to(package.parent)}", path
    yield "/usr/local/bin/flyteform-execute", Script(_EXECUTE)


def _required() -> list[metadata.Distribution]:
    """Return the distributions that the SDK needs, directly or not, without the SDK itself and its extras."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [_PROJECT, *_BESIDE]
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        found[name] = metadata.distribution(name)
        required = [one for one in found[name].requires or [] if "extra ==" not in one and "sys_platform" not in one]
        waiting += [match[0] for one in required if (match := re.match(r"[\w.-]+", one))]
    del found[_PROJECT]
    return [found[name] for name in sorted(found)]


def _layer(name: str, files: dict[str, Content]) -> Path:
    digest = hashlib.sha256()
    for place, content in sorted(files.items()):
        data = content.read_bytes() if isinstance(content, Path) else repr(content).encode()
        digest.update(f"{place}\0{hashlib.sha256(data).hexdigest()}\0".encode())
    target = CACHE / "images" / f"{name}-{digest.hexdigest()[:16]}.tar"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial")
        write_layer(partial, files)
        partial.rename(target)
    return target


def _digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
