"""The table of images and the commands that they are asked for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flyteform.errors import InvalidInputError
from flyteform_dataplane.process.images import ImageTable, entry_of, find_program, localise, parse_rule
from flyteform_dataplane.process.template.entries import EXEC

HERE = Path(sys.executable)


def test_the_first_rule_that_matches_counts() -> None:
    """Rules are tried in their order, and an image that none matches gets the default."""
    table = ImageTable([parse_rule(f"ghcr.io/*={HERE}"), parse_rule("*:special=/bin/sh")], Path("/default"))
    assert table.interpreter("ghcr.io/me/image:special") == HERE
    assert table.interpreter("docker.io/me/image:special") == Path("/bin/sh")
    assert table.interpreter("docker.io/me/image:v1") == Path("/default")


def test_a_rule_may_name_a_virtual_environment() -> None:
    """A folder stands for the interpreter in it, and links are kept: they say which environment it is."""
    assert parse_rule(f"*={HERE.parent.parent}").python == HERE.parent / "python"


@pytest.mark.parametrize(
    "text", ["", "image", "=python", "image=", "image=/no/such/python", "image=/etc/passwd", "a=~no-such-user/python"]
)
def test_a_wrong_rule_says_what_it_should_be(text: str) -> None:
    """Every malformed rule, and one whose interpreter does not exist, is refused with a remedy."""
    with pytest.raises(InvalidInputError) as caught:
        parse_rule(text)
    assert repr(text) in caught.value.message
    assert caught.value.remedy


def test_programs_beside_the_interpreter_come_first(tmp_path: Path) -> None:
    """A command is looked for in the environment of the image, then on the path, then nowhere."""
    beside, elsewhere = tmp_path / "env", tmp_path / "path"
    for folder, name in ((beside, "one"), (elsewhere, "one"), (elsewhere, "two")):
        folder.mkdir(exist_ok=True)
        (folder / name).touch(mode=0o755)
    assert find_program("one", beside / "python", str(elsewhere)) == beside / "one"
    assert find_program("two", beside / "python", str(elsewhere)) == elsewhere / "two"
    assert find_program("three", beside / "python", str(elsewhere)) is None
    assert find_program(str(elsewhere / "two"), beside / "python", "") == elsewhere / "two"
    assert find_program(str(elsewhere / "three"), beside / "python", str(elsewhere)) is None


@pytest.mark.parametrize(
    ("command", "environment", "entry"),
    [
        (("flyteform-execute", "--inputs", "x"), (), "flyteform"),
        (("/env/bin/pyflyte-execute",), ("FLYTE_INTERNAL_EXECUTION_ID",), "flytekit"),
        (("pyflyte-map-execute",), ("PYTHONPATH", "PYTHONUNBUFFERED"), "flytekit"),
        (("pyflyte-execute",), ("FLYTE_SDK_LOGGING_LEVEL",), EXEC),
        (("flyteform-execute",), ("LD_PRELOAD",), EXEC),
        (("bash", "-c", "pyflyte-execute"), (), EXEC),
        ((), (), EXEC),
    ],
)
def test_what_can_be_forked(command: tuple[str, ...], environment: tuple[str, ...], entry: str) -> None:
    """Known entry points are forked, unless the environment sets what only a fresh start reads."""
    assert entry_of(command, environment) == entry


def test_code_is_unpacked_into_the_attempts_own_folder() -> None:
    """An absolute folder of the image becomes the working directory; a relative one and the task's own words stay."""
    fast = ("pyflyte-fast-execute", "--additional-distribution", "file:///a.tar.gz", "--dest-dir")
    rest = ("--", "pyflyte-execute", "--dest-dir", "/kept")
    assert localise((*fast, "/root", *rest)) == (*fast, ".", *rest)
    assert localise((*fast, "~", *rest)) == (*fast, ".", *rest)
    assert localise((*fast, "src", *rest)) == (*fast, "src", *rest)
    assert localise(("pyflyte-execute", "--dest-dir", "/root")) == ("pyflyte-execute", "--dest-dir", "/root")


def test_flytekit_gets_plain_paths_for_raw_data() -> None:
    """Raw data of flytekit is named by paths, as it takes file:// URIs for no files; others keep URIs."""
    prefix = ("--raw-output-data-prefix", "file:///data/raw/a")
    plain = ("--raw-output-data-prefix", "/data/raw/a")
    fast = ("pyflyte-fast-execute", "--", "pyflyte-execute")
    assert localise((*fast, *prefix)) == (*fast, *plain)
    assert localise(("pyflyte-map-execute", *prefix)) == ("pyflyte-map-execute", *plain)
    assert localise(("flyteform-execute", *prefix)) == ("flyteform-execute", *prefix)
    bucket = ("pyflyte-execute", "--raw-output-data-prefix", "s3://bucket/raw")
    assert localise(bucket) == bucket
