"""Commands that know nothing of Flyte: their inputs are files, and files become their outputs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from flyteidl.core.errors_pb2 import ContainerError, ErrorDocument
from flyteidl.core.interface_pb2 import Variable, VariableMap
from flyteidl.core.literals_pb2 import (
    Blob,
    BlobMetadata,
    Literal,
    LiteralCollection,
    LiteralMap,
    Primitive,
    Scalar,
    Union,
    Void,
)
from flyteidl.core.tasks_pb2 import DataLoadingConfig, IOStrategy
from flyteidl.core.types_pb2 import BlobType, EnumType, LiteralType, SimpleType, UnionType
from hypothesis import given
from hypothesis import strategies as st

from flyteform.errors import InvalidInputError
from flyteform_dataplane.copilot.__main__ import main, relocated
from flyteform_dataplane.copilot.folders import below
from flyteform_dataplane.copilot.outputs import parse_duration, parse_simple
from flyteform_dataplane.copilot.plans import arguments
from flyteform_dataplane.plugins.arguments import literal_text
from flyteform_dataplane.ports import Copying
from support.platform import wait_until

if TYPE_CHECKING:
    from flyteform_dataplane.copilot.plans import Part

SINGLE = BlobType(dimensionality=BlobType.SINGLE)
MULTIPART = BlobType(dimensionality=BlobType.MULTIPART)
OPTIONAL = LiteralType(
    union_type=UnionType(variants=[LiteralType(simple=SimpleType.INTEGER), LiteralType(simple=SimpleType.NONE)])
)


def primitive(**value: object) -> Literal:
    """Make a literal of a primitive."""
    return Literal(scalar=Scalar(primitive=Primitive(**value)))  # type: ignore[arg-type]


def blob(uri: str, kind: BlobType) -> Literal:
    """Make a literal that names a file or a folder."""
    return Literal(scalar=Scalar(blob=Blob(uri=uri, metadata=BlobMetadata(type=kind))))


class Desk:
    """A folder in which commands run, with a store of objects beside it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = folder / "store"
        (folder / "work").mkdir()
        monkeypatch.chdir(folder / "work")

    def run(self, script: str, inputs: dict[str, Literal], outputs: dict[str, LiteralType], **config: object) -> int:
        """Run a Python script as the command and return its exit code."""
        self.store.mkdir(exist_ok=True)
        (self.store / "inputs.pb").write_bytes(LiteralMap(literals=inputs).SerializeToString())
        variables = {name: Variable(type=kind) for name, kind in outputs.items()}
        copying = Copying(
            DataLoadingConfig(enabled=True, input_path="/var/inputs", output_path="/var/outputs/", **config),  # type: ignore[arg-type]
            VariableMap(variables=variables),
            f"file://{self.store}/inputs.pb",
            f"file://{self.store}/out",
            f"file://{self.store}/raw",
        )
        return main([*arguments(copying), sys.executable, "-c", f"from pathlib import Path\n{script}"])

    @property
    def outputs(self) -> dict[str, Literal]:
        """What came out."""
        return dict(LiteralMap.FromString((self.store / "out" / "outputs.pb").read_bytes()).literals)

    @property
    def error(self) -> ContainerError:
        """What went wrong."""
        return ErrorDocument.FromString((self.store / "out" / "error.pb").read_bytes()).error


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Give one."""
    return Desk(tmp_path, monkeypatch)


def test_inputs_of_every_kind_are_files(desk: Desk, tmp_path: Path) -> None:
    """Values, lists, maps, unions, files and folders lie where the task says, and all of them in one JSON."""
    (tmp_path / "data" / "below").mkdir(parents=True)
    (tmp_path / "data" / "below" / "x").write_text("deep")
    union = Literal(scalar=Scalar(union=Union(value=primitive(integer=3), type=LiteralType(simple=SimpleType.INTEGER))))
    inputs = {
        "n": primitive(integer=-5),
        "f": primitive(float_value=1e-7),
        "b": primitive(boolean=True),
        "l": Literal(collection=LiteralCollection(literals=[primitive(string_value="a b"), union])),
        "m": Literal(map=LiteralMap(literals={"k": primitive(integer=1)})),
        "file": blob(f"file://{tmp_path}/data/below/x", SINGLE),
        "folder": blob(f"{tmp_path}/data", MULTIPART),
        "none": Literal(scalar=Scalar(none_type=Void())),
    }
    script = """
import json
at = Path("/var/inputs")
names = "n", "f", "b", "l/0", "l/1", "m/k", "file", "folder/below/x", "none"
found = {name: (at / name).read_text() for name in names}
Path("/var/outputs/found").write_text(json.dumps([found, json.loads((at / "inputs.json").read_text())]))
"""
    assert desk.run(script, inputs, {"found": LiteralType(simple=SimpleType.STRING)}) == 0
    files, values = json.loads(desk.outputs["found"].scalar.primitive.string_value)
    assert files == {
        "n": "-5", "f": "0.0000001", "b": "true", "l/0": "a b", "l/1": "3", "m/k": "1",
        "file": "deep", "folder/below/x": "deep", "none": "null",
    }  # fmt: skip
    assert values["l"] == ["a b", 3]
    assert values["n"] == -5
    assert values["none"] is None
    assert values["file"].endswith("/inputs/file")


@pytest.mark.parametrize(("file_format", "name"), [(DataLoadingConfig.YAML, "yaml"), (DataLoadingConfig.PROTO, "pb")])
def test_inputs_in_one_file_of_the_format_asked_for(desk: Desk, file_format: int, name: str) -> None:
    """YAML and protobuf are written in the place of JSON."""
    script = """
from shutil import copyfile
assert not Path("/var/inputs/inputs.json").exists()
copyfile(next(path for path in Path("/var/inputs").glob("inputs.*") if path.suffix == ".%s"), "/var/outputs/all")
"""
    declared = LiteralType(blob=SINGLE)
    assert desk.run(script % name, {"n": primitive(integer=4)}, {"all": declared}, format=file_format) == 0
    content = (desk.store / "raw" / "all").read_bytes()
    if name == "yaml":
        assert yaml.safe_load(content) == {"n": 4}
    else:
        assert LiteralMap.FromString(content) == LiteralMap(literals={"n": primitive(integer=4)})


def test_outputs_of_every_kind_come_from_files(desk: Desk) -> None:
    """Values are read as their types say, files and folders are stored, what is optional may be missing."""
    script = """
out = Path("/var/outputs")
for name, text in {"n": "12\\n", "t": " kept ", "d": "1h30m", "e": "red", "o": "3"}.items():
    (out / name).write_text(text)
(out / "tree" / "below").mkdir(parents=True)
(out / "tree" / "below" / "x").write_text("deep")
"""
    simple = {"n": SimpleType.INTEGER, "t": SimpleType.STRING, "d": SimpleType.DURATION}
    declared = {name: LiteralType(simple=kind) for name, kind in simple.items()}
    declared |= {"e": LiteralType(enum_type=EnumType(values=["red"])), "tree": LiteralType(blob=MULTIPART)}
    assert desk.run(script, {}, {**declared, "o": OPTIONAL, "missing": OPTIONAL}) == 0
    found = desk.outputs
    assert found["n"].scalar.primitive.integer == 12
    assert found["t"].scalar.primitive.string_value == " kept "
    assert found["d"].scalar.primitive.duration.ToTimedelta() == timedelta(hours=1, minutes=30)
    assert found["e"].scalar.primitive.string_value == "red"
    assert found["o"].scalar.union.value.scalar.primitive.integer == 3
    assert found["missing"].scalar.union.value.scalar.HasField("none_type")
    assert found["tree"].scalar.blob.uri == f"file://{desk.store}/raw/tree"
    assert (desk.store / "raw" / "tree" / "below" / "x").read_text() == "deep"


@pytest.mark.parametrize(
    ("script", "kind", "said"),
    [
        ("", LiteralType(simple=SimpleType.INTEGER), "output 'o': the command has not written the file o"),
        ("Path('/var/outputs/o').write_text('many')", LiteralType(simple=SimpleType.INTEGER), "'many' is no integer"),
        ("Path('/var/outputs/o').mkdir()", LiteralType(blob=SINGLE), "it is a folder, but single is declared"),
        ("Path('/var/outputs/o').mkdir()", LiteralType(simple=SimpleType.STRING), "is a folder"),
        ("Path('/var/outputs/o').write_text('blue')", LiteralType(enum_type=EnumType(values=["red"])), "none of red"),
        ("Path('/var/outputs/o').write_text('x')", LiteralType(map_value_type=OPTIONAL), "cannot be made from a file"),
        ("Path('/var/outputs/o').symlink_to('/etc/hostname')", LiteralType(blob=SINGLE), "o is a link that leads out"),
        (
            "Path('/var/outputs/o').mkdir(); Path('/var/outputs/o/x').symlink_to('/etc')",
            LiteralType(blob=MULTIPART),
            "x is a link that leads out",
        ),
        (
            "Path('/var/outputs/_ERROR').symlink_to('/etc/hostname')",
            LiteralType(blob=SINGLE),
            "is a link that leads out",
        ),
        ("Path('/var/outputs/o').write_text('[' * 10**6)", LiteralType(simple=SimpleType.STRUCT), "is no struct"),
        ("Path('/var/outputs/o').write_text('9' * 10**6)", LiteralType(simple=SimpleType.DURATION), "is no duration"),
        ("[Path('/var/outputs/o.' + e).touch() for e in 'ab']", LiteralType(blob=SINGLE), "has not written the file o"),
        ("Path('/var/outputs/_ERROR').write_text('no luck')", LiteralType(simple=SimpleType.STRING), "no luck"),
    ],
)
def test_what_the_command_left_out_is_named(desk: Desk, script: str, kind: LiteralType, said: str) -> None:
    """An output that is missing or wrong, or an error file, fails the attempt for good with one sentence."""
    assert desk.run(script, {}, {"o": kind}) == 1
    assert said in desk.error.message
    assert desk.error.kind == ContainerError.NON_RECOVERABLE


def test_data_that_is_gone_fails_the_attempt(desk: Desk) -> None:
    """An input whose file does not exist is named, and the command does not run."""
    script = "Path('/var/outputs/ran').touch()"
    assert desk.run(script, {"file": blob(f"file://{desk.store}/nothing", SINGLE)}, {}) == 1
    assert "input 'file'" in desk.error.message


def test_an_output_may_have_an_extension(desk: Desk) -> None:
    """As Flyte's copilot has it: programs choose a name by what is in it."""
    script = "Path('/var/outputs/o.json').write_text('{}'); Path('/var/outputs/n.txt').write_text('7')"
    declared = {"o": LiteralType(blob=SINGLE), "n": LiteralType(simple=SimpleType.INTEGER)}
    assert desk.run(script, {}, declared) == 0
    assert (desk.store / "raw" / "o").read_text() == "{}"
    assert desk.outputs["n"].scalar.primitive.integer == 7


@pytest.mark.parametrize("name", ["..", "../out", "/tmp/x", "a/b", "", "a\0b", "x" * 256])  # noqa: S108 - is refused
def test_names_do_not_lead_out_of_the_folders(desk: Desk, name: str) -> None:
    """Those of inputs, of entries of maps, and of outputs: anybody may have chosen them."""
    value = primitive(string_value="x")
    nested = Literal(map=LiteralMap(literals={name: value}))
    wrong: list[dict[str, Literal]] = [{name: value}, {"m": nested}]
    for inputs in wrong:
        assert desk.run("Path('/var/outputs/ran').touch()", inputs, {}) == 1
        assert "name of a file" in desk.error.message
        assert not Path("outputs/ran").exists()
    assert desk.run("", {}, {name: LiteralType(simple=SimpleType.STRING)}) == 1
    assert "name of a file" in desk.error.message


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/x", "a//x", "..", "a/.."])
def test_objects_do_not_lead_out_of_their_folder(tmp_path: Path, path: str) -> None:
    """A store takes any name: whoever writes below a prefix does not choose files of those who read it."""
    with pytest.raises(InvalidInputError, match="cannot be the name of a file"):
        below(tmp_path, path)
    assert below(tmp_path, "a/b.c") == tmp_path / "a" / "b.c"


def test_a_literal_elsewhere_that_is_none_is_refused(desk: Desk) -> None:
    """The message has its address."""
    desk.store.mkdir()
    (desk.store / "offloaded").write_bytes(b"\xff")
    literal = Literal()
    literal.offloaded_metadata.uri = f"file://{desk.store}/offloaded"
    assert desk.run("", {"n": literal}, {}) == 1
    assert desk.error.message == f"input 'n': file://{desk.store}/offloaded is no literal"


def test_a_disk_that_takes_nothing_is_the_platforms_failure(container: Container) -> None:
    """One sentence, and another attempt may follow."""
    (container.folder / "in").write_text("a file where a folder should be")
    assert main(container.arguments("download")) == 1
    error = ErrorDocument.FromString((container.folder / "store" / "error.pb").read_bytes()).error
    assert error.kind == ContainerError.RECOVERABLE
    assert error.message.startswith("copying failed: File exists")


def test_the_commands_exit_code_is_the_attempts(desk: Desk) -> None:
    """A command that fails leaves no outputs and no error file: its code says it, also that of a signal."""
    assert desk.run("raise SystemExit(7)", {}, {}) == 7
    assert desk.run("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", {}, {}) == 143
    assert not (desk.store / "out").exists()


def test_nothing_is_copied_where_the_task_says_so(desk: Desk) -> None:
    """DO_NOT_DOWNLOAD and DO_NOT_UPLOAD leave the folders and the outputs alone."""
    strategy = IOStrategy(download_mode=IOStrategy.DO_NOT_DOWNLOAD, upload_mode=IOStrategy.DO_NOT_UPLOAD)
    script = "assert not list(Path('/var/inputs').iterdir()); Path('/var/outputs/o').write_text('1')"
    declared = {"o": LiteralType(simple=SimpleType.INTEGER)}
    assert desk.run(script, {"n": primitive(integer=4)}, declared, io_strategy=strategy) == 0
    assert not (desk.store / "out").exists()


class Container:
    """A pod's folders, and what its containers do with them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "out").mkdir()
        (folder / "inputs.pb").write_bytes(LiteralMap(literals={"n": primitive(integer=4)}).SerializeToString())
        self.copying = Copying(
            DataLoadingConfig(enabled=True, input_path=f"{folder}/in", output_path=f"{folder}/out"),
            VariableMap(variables={"o": Variable(type=LiteralType(simple=SimpleType.INTEGER))}),
            f"file://{folder}/inputs.pb",
            f"file://{folder}/store",
            f"file://{folder}/raw",
        )

    def arguments(self, part: Part) -> tuple[str, ...]:
        """Return those of one of the containers."""
        return arguments(self.copying, part, exit_code_file=f"{self.folder}/code", timeout=60)


@pytest.fixture
def container(tmp_path: Path) -> Container:
    """Give one."""
    return Container(tmp_path)


def test_a_container_of_its_own_downloads(container: Container) -> None:
    """It writes where the command beside it looks, and runs nothing."""
    assert main(container.arguments("download")) == 0
    assert (container.folder / "in" / "n").read_text() == "4"
    assert not (container.folder / "store").exists()


def test_a_container_of_its_own_uploads_after_the_command(container: Container) -> None:
    """It waits until it is told that the command beside it has succeeded: the file may be there empty before."""
    (container.folder / "code").write_text("")
    uploading = subprocess.Popen(
        [sys.executable, "-m", "flyteform_dataplane.copilot", *container.arguments("upload")], cwd=container.folder
    )
    (container.folder / "out" / "o").write_text("7")
    (container.folder / "code").write_text("0")
    assert uploading.wait(60) == 0
    outputs = LiteralMap.FromString((container.folder / "store" / "outputs.pb").read_bytes())
    assert outputs.literals["o"] == primitive(integer=7)


def test_nothing_is_uploaded_after_a_failure(container: Container) -> None:
    """What a command has left that failed is nobody's output."""
    (container.folder / "out" / "o").write_text("7")
    (container.folder / "code").write_text("3")
    assert main(container.arguments("upload")) == 0
    assert not (container.folder / "store").exists()


def test_who_waits_ends_when_it_is_told_to(container: Container) -> None:
    """A pod that is deleted goes at once."""
    command = [sys.executable, "-u", "-m", "flyteform_dataplane.copilot", *container.arguments("upload")]
    uploading = subprocess.Popen(command, cwd=container.folder)
    status = Path(f"/proc/{uploading.pid}/status")
    handled = 1 << (signal.SIGTERM - 1)

    def handles() -> bool:
        caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt:"))
        return bool(int(caught.split()[1], 16) & handled)

    wait_until(handles, seconds=60, what="it handles the signal")
    uploading.terminate()
    assert uploading.wait(60) == 128 + signal.SIGTERM


def test_a_store_that_is_away_is_one_sentence(container: Container, capfd: pytest.CaptureFixture[str]) -> None:
    """Nor can the error be written then; the exit code says that copying failed."""
    (container.folder / "out" / "o").write_text("7")
    (container.folder / "code").write_text("0")
    (container.folder / "store").write_text("a file where a folder should be")
    assert main(container.arguments("upload")) == 1
    said = capfd.readouterr().err
    assert said.startswith("Error: ")
    assert "Traceback" not in said


def test_copying_may_not_take_for_ever(container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    """When its time is over that is the platform's failure, and another attempt may follow."""
    monkeypatch.setattr("flyteform_dataplane.copilot.__main__.download", lambda *_: signal.pause())
    given = [*container.arguments("download")]
    given[given.index("--timeout=60")] = "--timeout=0.05"
    assert main(given) == 1
    error = ErrorDocument.FromString((container.folder / "store" / "error.pb").read_bytes()).error
    assert error.kind == ContainerError.RECOVERABLE
    assert "copying took longer than 0.05 s" in error.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/var/inputs", "/at/in"),
        ("/var/inputs/a /var/outputs", "/at/in/a /at/out"),
        ("--in=/var/inputs,'/var/outputs/b'", "--in=/at/in,'/at/out/b'"),
        ("/var/inputs2 /x/var/inputs /var/inputs-b", "/var/inputs2 /x/var/inputs /var/inputs-b"),
        ("s3://bucket/var/inputs", "s3://bucket/var/inputs"),
    ],
)
def test_only_the_folders_themselves_move(text: str, expected: str) -> None:
    """A command names its own folders afterwards; what only looks like them stays."""
    assert relocated(text, {"/var/inputs": "/at/in", "/var/outputs": "/at/out"}) == expected


@given(
    st.one_of(
        st.integers(-(2**63), 2**63 - 1).map(lambda value: (Primitive(integer=value), SimpleType.INTEGER)),
        st.booleans().map(lambda value: (Primitive(boolean=value), SimpleType.BOOLEAN)),
        st.floats(allow_nan=False).map(lambda value: (Primitive(float_value=value), SimpleType.FLOAT)),
        st.text().map(lambda value: (Primitive(string_value=value), SimpleType.STRING)),
    )
)
def test_what_is_written_is_read_again(case: tuple[Primitive, SimpleType]) -> None:
    """The text form of a primitive gives the same primitive."""
    scalar = Scalar(primitive=case[0])
    text = literal_text(Literal(scalar=scalar))
    assert parse_simple(text.encode(), case[1]) == scalar


@given(st.timedeltas(timedelta(days=-300), timedelta(days=300)))
def test_durations_in_the_forms_of_go_and_python(duration: timedelta) -> None:
    """Both forms are read."""
    literal = Literal()
    literal.scalar.primitive.duration.FromTimedelta(duration)
    assert abs(parse_duration(literal_text(literal)) - duration) < timedelta(milliseconds=1)
    assert parse_duration(str(duration)) == duration


def test_an_unfit_value_is_quoted_in_short() -> None:
    """A whole page is not repeated in the error."""
    with pytest.raises(InvalidInputError) as refusal:
        parse_simple(b"9" * 5000, SimpleType.DATETIME)
    assert len(refusal.value.message) < 200
