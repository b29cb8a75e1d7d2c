"""The settings of an operator, and the profile of its cluster in a file."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter

from flyteform.errors import InvalidInputError
from flyteform_dataplane.kubernetes.api import connect
from flyteform_dataplane.kubernetes.profile import PodProfile
from flyteform_dataplane.kubernetes.settings import parse, read_profile

REQUIRED = ("--control-plane=127.0.0.1:1", "--objects=s3://b/p", "--cluster=one", "--state-dir=/s")


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """Name the file of a profile."""
    return tmp_path / "profile.yaml"


def test_what_a_profile_leaves_out_has_its_default(profile: Path) -> None:
    """An empty file is the default profile."""
    profile.write_text("")
    assert read_profile(profile) == PodProfile()


def test_a_profile_is_read(profile: Path) -> None:
    """Fields have hyphens, at every depth."""
    profile.write_text(
        "node-selector: {pool: tasks}\ngrace: {image-pull-backoff: 60}\nspot: {tolerations: [{key: spot}]}\n"
    )
    found = read_profile(profile)
    assert found.node_selector == {"pool": "tasks"}
    assert found.grace.image_pull_backoff == timedelta(minutes=1)
    assert found.spot.tolerations == ({"key": "spot"},)
    settings = parse([*REQUIRED, f"--profile={profile}", "--namespace=mine"])
    assert settings.profile == replace(found, pod_template_namespace="mine")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cpus: 1", "cpus: there is no such setting"),
        ("spot: {node_selector: {}}", "spot.node_selector: there is no such setting"),
        ("termination-grace-seconds: -1", "termination-grace-seconds: Input should be greater than"),
        ("cpu: much", "cpu: Value error, 'much' is no quantity"),
        ("memory: 0Gi", "memory: Value error, '0Gi' is nothing"),
        ("copilot: {memory: ''}", "copilot.memory: Value error"),
        ("image-pull-policy: Sometimes", "image-pull-policy: Input should be"),
        ("dynamic-log-links: {x: {name: y}}", "dynamic-log-links.x"),
        ("[" * 5000, "is no YAML"),
        ("[]", "the profile"),
        ("a: [", "is no YAML"),
    ],
)
def test_a_wrong_profile_is_refused_with_its_place(profile: Path, text: str, said: str) -> None:
    """The message names the file and the field."""
    profile.write_text(text)
    with pytest.raises(InvalidInputError) as caught:
        read_profile(profile)
    assert said in caught.value.message
    assert str(profile) in caught.value.message


def test_a_profile_that_is_no_text_is_refused(profile: Path) -> None:
    """The message says so, and there is no traceback."""
    profile.write_bytes(b"cpu: \xff")
    with pytest.raises(InvalidInputError, match="is no YAML"):
        read_profile(profile)


def test_the_profile_in_the_documentation_is_one() -> None:
    """Whoever copies it has a cluster's profile."""
    guide = Path(__file__).parents[4] / "docs" / "guide" / "pods.md"
    examples = re.findall(r"```yaml\n(.*?)```", guide.read_text(), re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        assert TypeAdapter(PodProfile).validate_python(yaml.safe_load(example)) != PodProfile()


def test_namespaces_are_named_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Without any it is the whole cluster; what is no name is a usage error."""
    assert parse(REQUIRED).limit_namespaces == ()
    assert parse([*REQUIRED, "--limit-namespace=a-b", "--limit-namespace=c"]).limit_namespaces == ("a-b", "c")
    with pytest.raises(SystemExit):
        parse([*REQUIRED, "--limit-namespace=a/b"])
    assert "'a/b' is no namespace" in capsys.readouterr().err


def test_the_console_is_known_where_it_is_named() -> None:
    """Without it tasks have no page."""
    assert parse(REQUIRED).console_url == ""
    assert parse([*REQUIRED, "--console-url=https://x/console"]).console_url == "https://x/console"


def test_a_profile_that_is_not_there_is_refused(profile: Path) -> None:
    """The message says so."""
    with pytest.raises(InvalidInputError, match="cannot be read: No such file"):
        parse([*REQUIRED, f"--profile={profile}"])


@pytest.mark.parametrize("content", ["a name\n", "[]", "current-context: x", "a: [", "\x00"])
async def test_a_kubeconfig_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    """Whatever the file is, the message has its name."""
    file = tmp_path / "kubeconfig"
    file.write_text(content)
    with pytest.raises(InvalidInputError, match=f"no Kubernetes API server is named by {file}"):
        async with connect(file):
            pass
