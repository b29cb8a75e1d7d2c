"""Generates the Python code of flyteform.v1 from its sources; `--check` only says whether it is current.

flyteidl's package ships compiled descriptors and no .proto sources, so protoc gets them as a descriptor set.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf import descriptor_pb2
from grpc_tools import protoc

if TYPE_CHECKING:
    from google.protobuf.descriptor import FileDescriptor

ROOT = Path(__file__).parent.parent / "sdk" / "flyteform" / "proto"
IMPORTED = ("flyteidl.admin.event_pb2", "flyteidl.admin.execution_pb2", "flyteidl.core.compiler_pb2")
PACKAGE = "flyteform/v1"
PROGRAMS = Path(sys.executable).parent
_NAMED = re.compile(r"(?<![\w.])(?<!import )flyteform\.v1\.\w+_pb2\.")


def collect(file: FileDescriptor, into: dict[str, descriptor_pb2.FileDescriptorProto]) -> None:
    """Add a file and all that it imports, dependencies first, as protoc demands."""
    if file.name in into:
        return
    for dependency in file.dependencies:
        collect(dependency, into)
    proto = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(proto)
    into[file.name] = proto


def generate(out: Path) -> dict[str, str]:
    """Run protoc into `out`; return the text of each generated file by its name."""
    files: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    for module in IMPORTED:
        collect(importlib.import_module(module).DESCRIPTOR, files)
    descriptors = out / "flyteidl.binpb"
    descriptors.write_bytes(descriptor_pb2.FileDescriptorSet(file=files.values()).SerializeToString())
    sources = sorted(f"{PACKAGE}/{path.name}" for path in (ROOT / PACKAGE).glob("*.proto"))
    code = protoc.main(
        [
            "protoc",
            f"--descriptor_set_in={descriptors}",
            *(f"--plugin=protoc-gen-{name}={PROGRAMS / f'protoc-gen-{name}'}" for name in ("mypy", "mypy_grpc")),
            f"--proto_path={ROOT}",
            f"--python_out={out}",
            f"--grpc_python_out={out}",
            f"--mypy_out=quiet:{out}",
            f"--mypy_grpc_out=quiet:{out}",
            *sources,
        ],
    )
    if code != 0:
        raise SystemExit(code)
    # The generated modules import each other by the proto path; ours live one package deeper.
    return {path.name: _moved(path.read_text()) for path in sorted((out / PACKAGE).iterdir())}


def _moved(text: str) -> str:
    return re.sub(
        r"(from|import) flyteform\.v1", r"\1 flyteform.proto.flyteform.v1", _NAMED.sub(r"flyteform.proto.\g<0>", text)
    )


def main() -> int:
    """Write or compare the generated files; exit 1 when `--check` finds a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        generated = generate(Path(folder))
    target = ROOT / PACKAGE
    stale = [
        name for name, text in generated.items() if not (target / name).is_file() or (target / name).read_text() != text
    ]
    if arguments.check:
        for name in stale:
            print(f"{target / name} is not what its source gives: run `make proto`", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        (target / name).write_text(generated[name])
    return 0


if __name__ == "__main__":
    sys.exit(main())
