"""The images that tasks run in: for this SDK from this checkout, for the stock one from its environment.

A third one has this checkout's data plane: the operator, its webhook, and what copies data for raw containers.
"""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tools.kubernetes.images import (
    MAKER,
    Image,
    Script,
    SharedFolder,
    cached_layer,
    libraries,
    python_layer,
)
from tools.kubernetes.settings import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tools.kubernetes.images import Content

_ROOT = Path(__file__).parents[2]
_LIBRARY = "/opt/flyteform"
_PROJECT = "flyteform"
# What tasks need beyond the SDK's own requirements: their objects are in S3.
_BESIDE = ("obstore",)
_FLAGS = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONFAULTHANDLER")
OF_THE_EXAMPLE = ("scikit-learn",)
_OF_PLATFORMS = (
    *("alembic", "asyncpg", "grpcio-health-checking", "grpcio-reflection", "joserfc", "prometheus-client"),
    *("greenlet", "sqlalchemy", "starlette", "uvicorn", "uvloop"),
)
_EXECUTE = """#!/usr/local/bin/python3
from flyteform.run import program
program()
"""
_NOBODY = "65534"
_WORK = "/tmp"  # noqa: S108 - where every user may write
_STOCK = "/opt/flytekit"
_STOCK_WORK = "/root"  # where the stock client wants code to be unpacked
_STOCK_COMMANDS = {
    "pyflyte-execute": "execute_task_cmd",
    "pyflyte-fast-execute": "fast_execute_task_cmd",
    "pyflyte-map-execute": "map_execute_task_cmd",
}
_STOCK_SCRIPT = """#!/usr/local/bin/python3
import sys
from flytekit.bin.entrypoint import {command}
sys.exit({command}())
"""
_STOCK_LOCK = _ROOT / "tests" / "compat" / "flytekit" / "uv.lock"
# The stock SDK unpacks code by these.
_UNPACKERS = ("/bin/tar", "/bin/gzip")
# Half a gigabyte of what the tests' tasks have no use for.
_UNNEEDED = ("pyarrow", "pandas", "numpy", "azure", "adlfs", "gcsfs", "google_cloud", "pip")


def task_image(name: str, beside: Sequence[str] = ()) -> Image:
    """Return an image in which tasks of this SDK run, as it is in the checkout now.

    `beside` are distributions that the tasks need themselves.
    """
    sources = _layer("sdk", dict(_sources("sdk/flyteform")))
    return _image(name, (*_required_layers(beside), sources), _LIBRARY)


def operator_image(name: str) -> Image:
    """Return an image with the data plane, as it is in the checkout now."""
    files = {**dict(_sources("sdk/flyteform")), **dict(_sources("dataplane/flyteform_dataplane")), **dict(_metadata())}
    return _image(name, (*_required_layers((*of_extra("kubernetes"), "uvloop")), _layer("dataplane", files)), _LIBRARY)


def platform_image(name: str, checkout: Path = _ROOT) -> Image:
    """Return an image with both planes, as they are in the checkout now, or in another one."""
    packages = ("sdk/flyteform", "dataplane/flyteform_dataplane", "controlplane/flyteform_controlplane")
    files = {place: content for each in packages for place, content in _sources(each, checkout)} | dict(_metadata())
    return _image(
        name, (*_required_layers((*of_extra("kubernetes"), *_OF_PLATFORMS)), _layer("planes", files)), _LIBRARY
    )


def stock_image(name: str, environment: Path) -> Image:
    """Return an image in which the stock SDK's tasks run, made from an environment that has it."""
    pyvenv = environment / "pyvenv.cfg"
    if not pyvenv.exists():
        raise ClusterError(f"there is no stock flytekit in {environment}: run `make compat`")
    packages = next(environment.glob("lib/python*/site-packages"))
    files: dict[str, Content] = {f"{_STOCK}/{path.name}": path for path in packages.iterdir() if _needed(path.name)}
    extensions = [path for path in packages.rglob("*.so") if _needed(path.relative_to(packages).parts[0])]
    programs = [Path(program) for program in _UNPACKERS]
    files |= {library: Path(library).resolve() for library in libraries([*extensions, *programs])}
    files |= {str(program): program.resolve() for program in programs}
    files[_STOCK_WORK] = SharedFolder()
    for script, command in _STOCK_COMMANDS.items():
        files[f"/usr/local/bin/{script}"] = Script(_STOCK_SCRIPT.format(command=command).encode())
    digest = _digest_of(f"{MAKER} {_STOCK_SCRIPT} {sorted(files)} {_STOCK_LOCK.read_text()}")
    layer = cached_layer(f"stock-{digest}", lambda: files)
    return _image(name, (layer,), f"{_STOCK}:{_STOCK_WORK}", work=_STOCK_WORK)


def _needed(name: str) -> bool:
    return not name.startswith(_UNNEEDED) and name != "__pycache__"


def _image(name: str, layers: tuple[Path, ...], path: str, *, work: str = _WORK) -> Image:
    environment = {"PYTHONPATH": path, "HOME": work, **dict.fromkeys(_FLAGS, "1")}
    return Image(name, (python_layer(), *layers), environment=environment, user=_NOBODY, workdir=work)


def _required_layers(beside: Sequence[str] = ()) -> tuple[Path, ...]:
    """Return the layer that all images of this project have, and if there is `beside`, one with what that adds."""
    common = dict(required_files(_BESIDE))
    if not beside:
        return (_layer("libraries", common),)
    added = {place: content for place, content in required_files((*_BESIDE, *beside)) if place not in common}
    return _layer("libraries", common), _layer("libraries", added)


def required_files(beside: Sequence[str]) -> Iterator[tuple[str, Content]]:
    """Yield the files of all that the SDK requires and more, as their installation recorded them.

    They are the same wherever the checkout and its environment are: checkouts share these layers.
    """
    extensions, bundled = [], set()
    for distribution in _required(beside):
        bundled.add(Path(str(distribution.locate_file(""))).resolve())
        for file in distribution.files or ():
            # The record has digests of commands, which are not taken, with the place of their Python.
            if ".." not in file.parts and file.suffix != ".pyc" and file.name != "RECORD":
                path = Path(str(distribution.locate_file(file)))
                yield f"{_LIBRARY}/{file}", path
                extensions += [path] if file.suffix == ".so" else []
    for library in sorted(libraries(extensions)):
        path = Path(library).resolve()
        if bundled.isdisjoint(path.parents):
            yield library, path


def of_extra(name: str) -> tuple[str, ...]:
    """Return the distributions that an extra of this project adds."""
    required = [Requirement(text) for text in metadata.requires(_PROJECT) or []]
    return tuple(one.name for one in required if one.marker and one.marker.evaluate({"extra": name}))


def _sources(folder: str, checkout: Path = _ROOT) -> Iterator[tuple[str, Content]]:
    package = checkout / folder
    for path in sorted(package.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            yield f"{_LIBRARY}/{path.relative_to(package.parent)}", path
    yield "/usr/local/bin/flyteform-execute", Script(_EXECUTE.encode())


def _metadata() -> Iterator[tuple[str, Content]]:
    """Yield what says which version of the project this is."""
    told = f"Metadata-Version: 2.1\nName: {_PROJECT}\nVersion: {metadata.version(_PROJECT)}\n"
    yield f"{_LIBRARY}/{_PROJECT}-0.dist-info/METADATA", told.encode()


def _required(beside: Sequence[str]) -> list[metadata.Distribution]:
    """Return the distributions that the SDK and others need, directly or not, without the SDK itself and its extras."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [_PROJECT, *beside]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in found:
            found[name] = metadata.distribution(name)
            required = map(Requirement, found[name].requires or [])
            waiting += [one.name for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]
    del found[_PROJECT]
    return [found[name] for name in sorted(found)]


def _layer(name: str, files: dict[str, Content]) -> Path:
    digest = hashlib.sha256(MAKER.encode())
    for place, content in sorted(files.items()):
        data = content.read_bytes() if isinstance(content, Path) else repr(content).encode()
        digest.update(f"{place}\0{hashlib.sha256(data).hexdigest()}\0".encode())
    return cached_layer(f"{name}-{digest.hexdigest()[:16]}", lambda: files)


def _digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
