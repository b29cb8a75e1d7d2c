"""Which first-party modules a module can reach: static analysis of imports below one source root."""

from __future__ import annotations

import ast
import hashlib
import sysconfig
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flyteform.provision.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_INSTALLED = frozenset({"site-packages", "dist-packages"})
_STANDARD_LIBRARY = sysconfig.get_path("stdlib")
_IMPORT_CALLS = frozenset({"import_module", "__import__"})


@dataclass(frozen=True, slots=True)
class Source:
    """One module of a source root; `content` has line ends as on Unix, so that a checkout's setting changes nothing."""

    name: str
    path: Path
    content: bytes
    is_package: bool

    @property
    def digest(self) -> str:
        """The hash of what the module says."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(slots=True)
class SourceTree:
    """The modules below `root`, each read and parsed once."""

    root: Path
    _sources: dict[str, Source | None] = field(default_factory=dict)
    _imports: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def find(self, name: str) -> Source | None:
        """Return the module of that dotted name if it lies below the root."""
        if name not in self._sources:
            self._sources[name] = self._read(name)
        return self._sources[name]

    def reachable(self, name: str) -> tuple[Source, ...]:
        """Return the module, its packages, and all first-party modules that they import, sorted by name."""
        found: dict[str, Source] = {}
        pending = [name]
        while pending:
            for each in _with_parents(pending.pop()):
                source = None if each in found else self.find(each)
                if source is not None:
                    found[each] = source
                    pending.extend(self._imported(source))
        return tuple(found[each] for each in sorted(found))

    def _read(self, name: str) -> Source | None:
        base = self.root.joinpath(*name.split("."))
        for path, is_package in ((base / "__init__.py", True), (base.with_name(f"{base.name}.py"), False)):
            if path.is_file():
                content = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n")
                return Source(name, path, content, is_package)
        return None

    def _imported(self, source: Source) -> tuple[str, ...]:
        if source.name not in self._imports:
            try:
                tree = ast.parse(source.content, filename=str(source.path))
            except (SyntaxError, ValueError) as error:
                line = getattr(error, "lineno", None) or 1
                message = getattr(error, "msg", str(error))
                raise DeclarationError(f"{source.path}:{line}: {message}", remedy="correct the module") from error
            self._imports[source.name] = tuple(dict.fromkeys(_imported_names(tree, source)))
        return self._imports[source.name]


def is_installed(path: Path) -> bool:
    """Tell whether a file came with Python or a package, so that an image has it too."""
    return bool(_INSTALLED & set(path.parts)) or path.is_relative_to(_STANDARD_LIBRARY)


def root_of(module: str, path: Path) -> Path:
    """Return the directory from which `module`, lying in `path`, is imported."""
    depth = module.count(".") + (path.name == "__init__.py")
    return path.resolve().parents[depth]


def _with_parents(name: str) -> Iterator[str]:
    """Yield the packages too: importing `a.b` runs `a` first."""
    parts = name.split(".")
    return (".".join(parts[: end + 1]) for end in range(len(parts)))


def _imported_names(tree: ast.Module, source: Source) -> Iterator[str]:
    """Yield what the module imports anywhere in it, functions included; names that are no modules do no harm."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = _absolute(source, module, level)
                if base:
                    yield base
                    yield from (f"{base}.{alias.name}" for alias in names if alias.name != "*")
            case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]) if _called(func) in _IMPORT_CALLS:
                yield name
            case _:
                pass


def _called(func: ast.expr) -> str | None:
    match func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return None


def _absolute(source: Source, module: str | None, level: int) -> str | None:
    """Resolve `from ..x import y`: one dot is the package that holds the module, or the package itself."""
    if level == 0:
        return module
    parts = source.name.split(".")
    drop = level - 1 if source.is_package else level
    if drop > len(parts):
        return None
    base = parts[: len(parts) - drop]
    return ".".join([*base, *([module] if module else [])]) or None
