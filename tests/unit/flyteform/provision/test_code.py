"""Which modules a module reaches, and that a bundle of them is the same bytes everywhere."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyteform.provision.bundle import pack
from flyteform.provision.code import Source, SourceTree, root_of
from flyteform.provision.errors import DeclarationError
from flyteform.unpacking import BUNDLE_DIR, use_bundle

if TYPE_CHECKING:
    from pathlib import Path


def write(root: Path, files: dict[str, str]) -> SourceTree:
    """Write files below a root."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return SourceTree(root)


def names(sources: tuple[Source, ...]) -> list[str]:
    """Return the names of modules."""
    return [source.name for source in sources]


@pytest.mark.parametrize(
    ("statement", "reached"),
    [
        ("import other", ["main", "other"]),
        ("import pkg.deep", ["main", "pkg", "pkg.deep"]),
        ("from pkg import deep", ["main", "pkg", "pkg.deep"]),
        ("from pkg.deep import thing", ["main", "pkg", "pkg.deep"]),
        ("from pkg import *", ["main", "pkg"]),
        ("def f():\n    import other", ["main", "other"]),
        ("import importlib\nimportlib.import_module('other')", ["main", "other"]),
        ("__import__('pkg.sibling')", ["main", "pkg", "pkg.deep", "pkg.sibling"]),
        ("import json, numpy", ["main"]),
    ],
)
def test_imports_are_followed(tmp_path: Path, statement: str, reached: list[str]) -> None:
    """Every way to import leads to the modules below the root, with their packages, and nowhere else."""
    tree = write(
        tmp_path,
        {
            "main.py": statement,
            "other.py": "",
            "unrelated.py": "",
            "pkg/__init__.py": "",
            "pkg/deep.py": "",
            "pkg/sibling.py": "from . import deep",
        },
    )
    assert names(tree.reachable("main")) == reached


def test_relative_imports_climb(tmp_path: Path) -> None:
    """Dots climb from a module and from a package alike, and circles end."""
    tree = write(
        tmp_path,
        {
            "a/__init__.py": "from .b import c",
            "a/b/__init__.py": "from ..x import y",
            "a/b/c.py": "from ... import nothing\nfrom .. import x",
            "a/x.py": "import a",
        },
    )
    assert names(tree.reachable("a.b.c")) == ["a", "a.b", "a.b.c", "a.x"]


def test_a_syntax_error_names_file_and_line(tmp_path: Path) -> None:
    """A reachable module that cannot be parsed is an error at its line."""
    tree = write(tmp_path, {"main.py": "import broken", "broken.py": "x = 1\ndef f(:\n"})
    with pytest.raises(DeclarationError, match=r"broken\.py:2"):
        tree.reachable("main")


def test_the_root_of_a_module(tmp_path: Path) -> None:
    """The root is as far up as the module's name has parts, for packages too."""
    assert root_of("m", tmp_path / "m.py") == tmp_path
    assert root_of("a.b", tmp_path / "a" / "b.py") == tmp_path
    assert root_of("a.b", tmp_path / "a" / "b" / "__init__.py") == tmp_path


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.binary(max_size=200), min_size=1, max_size=6))
def test_a_bundle_depends_on_its_content_alone(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    """The same modules from another directory, in another order, give the same bytes; unpacked they are there."""
    first, second = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    one = [Source(name, first / f"{name}.py", content, is_package=False) for name, content in files.items()]
    two = [Source(name, second / f"{name}.py", content, is_package=False) for name, content in reversed(files.items())]
    assert pack(one) == pack(two)
    with tarfile.open(fileobj=io.BytesIO(pack(one).data)) as archive:
        unpacked = {member.name: archive.extractfile(member) for member in archive}
        assert {name: file.read() for name, file in unpacked.items() if file} == {
            f"{name}.py": content for name, content in files.items()
        }


def test_line_ends_do_not_count(tmp_path: Path) -> None:
    """A checkout with Windows line ends has the digests and the bundle of one with Unix's."""
    unix, windows = tmp_path / "unix", tmp_path / "windows"
    unix.mkdir()
    windows.mkdir()
    (unix / "m.py").write_bytes(b"a = 1\nb = 2\n")
    (windows / "m.py").write_bytes(b"a = 1\r\nb = 2\r\n")
    first, second = SourceTree(unix).reachable("m"), SourceTree(windows).reachable("m")
    assert first[0].digest == second[0].digest
    assert pack(first) == pack(second)


def test_an_unpacked_bundle_can_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh interpreter imports a module of a package from the bundle as a task's container unpacks it."""
    monkeypatch.setenv(BUNDLE_DIR, str(tmp_path / "bundles"))
    monkeypatch.setattr(sys, "path", sys.path.copy())
    source = tmp_path / "source"
    tree = write(
        source, {"pkg/__init__.py": "", "pkg/mod.py": "from .value import VALUE", "pkg/value.py": "VALUE = 42"}
    )
    target = use_bundle("file:///bundle", lambda _: pack(tree.reachable("pkg.mod")).data)
    command = [sys.executable, "-c", "from pkg.mod import VALUE; print(VALUE)"]
    assert subprocess.check_output(command, cwd=target, text=True).strip() == "42"
