"""Container images made without an engine or a registry: layers, which are kept, and archives for containerd."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import marshal
import os
import struct
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tools.kubernetes import cache
from tools.kubernetes.settings import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import BinaryIO

PAUSE = "localhost/pause:1"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# What a layer holds follows from how it is made, too.
MAKER = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
# Of files with byte code: the size of what comes before it, and the flag for "never compared with its source".
_HEADER, _UNCHECKED = 16, 1
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROGRAMS = ("/bin/sh", "/bin/ls", "/bin/cat", "/bin/sleep", "/usr/bin/env")
_RESOLVERS = ("libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2")
_PAUSE_SOURCE = """
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void end(int sent) { (void)sent; _exit(0); }
static void reap(int sent) { (void)sent; while (waitpid(-1, 0, WNOHANG) > 0) {} }
int main(void) {
  signal(SIGINT, end); signal(SIGTERM, end); signal(SIGCHLD, reap);
  for (;;) pause();
}
"""


@dataclass(frozen=True, slots=True)
class Image:
    """An image: its layers are uncompressed tar files, lowest first."""

    name: str
    layers: tuple[Path, ...]
    entrypoint: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None
    user: str = ""
    workdir: str = "/"


def write_archive(images: Sequence[Image], out: BinaryIO) -> None:
    """Write images in Docker's format, each of their layers once; the same layers give the same bytes."""
    digests = {layer: _digest(layer) for image in images for layer in image.layers}
    configs = [json.dumps(_config(image, digests), sort_keys=True).encode() for image in images]
    names = [f"{hashlib.sha256(config).hexdigest()}.json" for config in configs]
    manifest = [
        {"Config": name, "RepoTags": [image.name], "Layers": [_place(digests[layer]) for layer in image.layers]}
        for name, image in zip(names, images, strict=True)
    ]
    small = {**dict(zip(names, configs, strict=True)), "manifest.json": json.dumps(manifest).encode()}
    with tarfile.open(fileobj=out, mode="w|") as archive:
        for layer, digest in digests.items():
            archive.add(layer, _place(digest))
        for path, data in small.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def _place(digest: str) -> str:
    return f"{digest}/layer.tar"


def _config(image: Image, digests: Mapping[Path, str]) -> dict[str, object]:
    environment = {"PATH": _PATH, **(image.environment or {})}
    settings = {
        "Env": [f"{key}={value}" for key, value in environment.items()],
        "Entrypoint": list(image.entrypoint),
        "User": image.user,
        "WorkingDir": image.workdir,
    }
    return {
        "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64",
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {key: value for key, value in settings.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digests[layer]}" for layer in image.layers]},
    }


def _digest_of_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _digest(layer: Path) -> str:
    """Return the digest of a layer, which is written beside it: layers are large, and never change."""
    told = layer.with_suffix(".sha256")
    if not told.exists():
        with layer.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        partial = told.with_suffix(f".{os.getpid()}")
        partial.write_text(digest)
        partial.rename(told)
    return told.read_text()


def cached_layer(name: str, files: Callable[[], Mapping[str, Content]]) -> Path:
    """Return a layer of the cache, written if nobody has written it yet."""
    return cache.kept(name, lambda target: write_layer(target, files()))


def pause_image() -> Image:
    """Return the image that holds a pod's namespaces: one static program that waits."""
    name = f"pause-{_digest_of_text(_PAUSE_SOURCE + MAKER)}"
    layer = cached_layer(name, lambda: {"/pause": _compiled(_PAUSE_SOURCE)})
    return Image(PAUSE, (layer,), entrypoint=("/pause",))


def _compiled(source: str) -> Script:
    """Return a static program."""
    with tempfile.TemporaryDirectory() as folder:
        file, binary = Path(folder) / "source.c", Path(folder) / "binary"
        file.write_text(source)
        command = ["cc", "-Os", "-static", "-s", "-o", str(binary), str(file)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise ClusterError(f"the program of the pause image could not be compiled: {ended.stderr.strip()[-500:]}")
        return Script(binary.read_bytes())


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link in an image."""

    target: str


@dataclass(frozen=True, slots=True)
class Script:
    """A program in an image."""

    content: bytes


@dataclass(frozen=True, slots=True)
class SharedFolder:
    """A folder in which everybody may write, as /tmp is."""


Content = Path | bytes | Link | Script | SharedFolder


def write_layer(target: Path, files: Mapping[str, Content]) -> None:
    """Write a layer: files and whole folders at their places in the image, owned by root, without times.

    Byte code that is there for a source goes with it, so that no container compiles it anew.
    """
    with tarfile.open(target, "w") as layer:
        for place, content in sorted(files.items()):
            if isinstance(content, Path):
                for path, below in _walk(content, place):
                    _add_file(layer, path, below)
                continue
            entry = tarfile.TarInfo(place.lstrip("/"))
            data = b""
            match content:
                case Link(target=linked):
                    entry.type, entry.linkname = tarfile.SYMTYPE, linked
                case SharedFolder():
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
                case Script(content=program):
                    data, entry.mode = program, 0o755
                case _:
                    data, entry.mode = content, 0o644
            entry.size = len(data)
            layer.addfile(entry, io.BytesIO(data))


def _walk(path: Path, place: str) -> Iterator[tuple[Path, str]]:
    """Yield the files to add, each with its place."""
    if not path.is_dir():
        yield path, place
        return
    for found in sorted(path.rglob("*")):
        below = found.relative_to(path)
        skipped = (
            found.suffix in (".a", ".pyc") or {"test", "tests"} & {*below.parts[:-1]} or "__pycache__" in below.parts
        )
        if not skipped and not found.is_dir():
            yield found, f"{place}/{below}"


def _add_file(layer: tarfile.TarFile, path: Path, place: str) -> None:
    layer.add(path, place.lstrip("/"), filter=_plain)
    code = _byte_code(path) if path.suffix == ".py" else None
    if code is not None:
        source = Path(place)
        cached = source.parent / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}.pyc"
        entry = tarfile.TarInfo(str(cached).lstrip("/"))
        entry.size = len(code)
        layer.addfile(entry, io.BytesIO(code))


def _byte_code(source: Path) -> bytes | None:
    """Return byte code that is never compared with its source; None for what cannot be compiled."""
    cached = Path(importlib.util.cache_from_source(str(source)))
    found = source.stat()
    expected = importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, int(found.st_mtime), found.st_size & 0xFFFFFFFF)
    header = importlib.util.MAGIC_NUMBER + struct.pack("<I", _UNCHECKED) + bytes(8)
    if cached.exists() and (code := cached.read_bytes())[:_HEADER] == expected:
        return header + code[_HEADER:]
    try:
        with warnings.catch_warnings(action="ignore"):
            compiled = compile(source.read_bytes(), str(source), "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return None
    return header + marshal.dumps(compiled)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = "root"
    return entry


def python_layer() -> Path:
    """Return a layer with this machine's own Python, the libraries that it needs, and a shell."""
    base = Path(sysconfig.get_config_var("installed_base") or sysconfig.get_config_var("base"))
    version = sysconfig.get_python_version()
    name = f"python-{version}-{_digest_of_text(f'{base} {sys.version} {MAKER}')}"
    return cached_layer(name, lambda: dict(_python_files(base, version)))


def python_image(name: str) -> Image:
    """Return an image that has Python and nothing else."""
    return Image(name, (python_layer(),))


def _python_files(base: Path, version: str) -> Iterator[tuple[str, Content]]:
    interpreter = (base / "bin" / f"python{version}").resolve()
    library = base / "lib" / f"python{version}"
    yield str(interpreter), interpreter
    for path in library.iterdir():
        if path.name not in ("site-packages", "dist-packages", "test", "idlelib", "__pycache__"):
            yield str(path), path.resolve()
    for name in ("python", "python3", f"python{version}"):
        yield f"/usr/local/bin/{name}", Link(str(interpreter))
    programs = [Path(program) for program in _PROGRAMS]
    for program in programs:
        yield str(program), program.resolve()
    extensions = [*base.glob("lib/*.so*"), *(library / "lib-dynload").glob("*.so")]
    for needed in libraries([*programs, interpreter, *extensions]):
        yield needed, Path(needed).resolve()
    yield "/tmp", SharedFolder()  # noqa: S108 - where programs expect it
    yield "/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"
    yield "/etc/group", b"root:x:0:\nnogroup:x:65534:\n"
    if _CERTIFICATES.exists():
        yield str(_CERTIFICATES), _CERTIFICATES
    yield "/etc/nsswitch.conf", b"hosts: files dns\n"


def libraries(programs: Iterable[Path]) -> set[str]:
    """Return the shared libraries that programs and extensions load."""
    found = set()
    for program in programs:
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
        found |= {
            word for line in listed.splitlines() for word in line.split() if word.startswith("/") and ".so" in word
        }
    folder = Path(f"/lib/{os.uname().machine}-linux-gnu")
    return found | {str(folder / name) for name in _RESOLVERS if (folder / name).exists()}
