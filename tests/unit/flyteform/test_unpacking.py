"""Code bundles are unpacked whole or not at all, and never outside of their directory."""

from __future__ import annotations

import io
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from flyteform.errors import InvalidInputError
from flyteform.unpacking import BUNDLE_DIR, use_bundle

if TYPE_CHECKING:
    from pathlib import Path


def bundle(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Return a bundle with these members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    """Return a link's member."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BUNDLE_DIR, str(tmp_path / "bundles"))
    monkeypatch.setattr(sys, "path", sys.path.copy())


def test_the_files_of_a_bundle_are_put_first_on_the_path() -> None:
    """Nested files arrive with their content, and a second use fetches nothing."""
    data = bundle((tarfile.TarInfo("package/module.py"), b"x = 1\n"), (tarfile.TarInfo("top.py"), b""))
    directory = use_bundle("file:///bundle", lambda _: data)
    assert sys.path[0] == str(directory)
    assert (directory / "package" / "module.py").read_bytes() == b"x = 1\n"
    assert use_bundle("file:///bundle", lambda uri: pytest.fail(f"{uri} is fetched again")) == directory


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("../outside.py"),
        tarfile.TarInfo("package/../../outside.py"),
        tarfile.TarInfo("/outside.py"),
        link("inside.py", "/etc/hostname", tarfile.SYMTYPE),
        link("inside.py", "../outside.py", tarfile.LNKTYPE),
        link("inside", "", tarfile.FIFOTYPE),
    ],
    ids=["above", "above from below", "absolute", "symbolic link", "hard link", "pipe"],
)
def test_a_bundle_that_leads_out_is_refused(tmp_path: Path, member: tarfile.TarInfo) -> None:
    """Paths that lead out, links and devices are refused, and nothing of the bundle stays."""
    data = bundle((tarfile.TarInfo("good.py"), b""), (member, b""))
    with pytest.raises(InvalidInputError, match="no code bundle"):
        use_bundle("file:///bundle", lambda _: data)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "data",
    [b"", b"no archive", bundle((tarfile.TarInfo("a.py"), b"x" * 99))[:-20]],
    ids=["nothing", "no archive", "half an archive"],
)
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    """An object that is no archive, or only the beginning of one, is one clear error."""
    with pytest.raises(InvalidInputError, match="no code bundle"):
        use_bundle("file:///bundle", lambda _: data)
