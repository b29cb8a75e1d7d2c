"""The recorder itself: what it notes, what it refuses, and stacks that refer to one another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from support.recording.goldens import compare
from support.recording.graph import Secret
from support.recording.stacks import stack_of

if TYPE_CHECKING:
    from pathlib import Path

    from support.recording.stacks import Recordings, Stack


def stack(name: str) -> Stack:
    """Return a stack of the example."""
    return stack_of("example", name)


def program(folder: Path, text: str) -> Stack:
    """Return a stack of a program of its own."""
    (folder / "__main__.py").write_text(text)
    (folder / "Pulumi.yaml").write_text("name: flyteform-example\n")
    return replace(stack("base"), folder=folder)


@pytest.mark.parametrize("name", ["base", "planes"])
def test_example(recordings: Recordings, name: str) -> None:
    """A recording has all resources with their options, and is as its golden file says."""
    compare(recordings.record(stack(name), f"example-{name}").check())


def test_options_and_references(recordings: Recordings) -> None:
    """Protection and ignored changes are noted, and secrets stay secret through another stack's outputs."""
    namespace = recordings.record(stack("base"), "example-options").check().one("Namespace")
    assert namespace.protect
    assert namespace.ignored == ["metadata.annotations"]
    planes = recordings.record(stack("planes"), "example-references").check()
    login = planes.one("Secret")
    assert login.at("stringData.password") == "the-secret-of-password"
    assert login.is_secret("stringData.password")
    assert planes.one("ConfigMap").at("data.uri") == "s3://bucket-id"
    assert not planes.one("ConfigMap").is_secret("data.uri")
    assert planes.one("ServiceAccount").at("metadata.annotations.role") == "s3://bucket-id"
    outputs = recordings.record(stack("base"), "example-outputs").marked_outputs
    assert isinstance(outputs["foundationSecrets"], Secret)
    assert "the-secret-of-password" not in str(outputs["foundation"])


def test_preview(recordings: Recordings) -> None:
    """In a preview what the cloud decides is unknown, and the program still runs to its end."""
    preview = recordings.record(stack("base"), "example-preview", preview=True).check()
    assert "04da6b54-80e4-46f7-96ec-b56ff0331ba9" in str(preview.outputs)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("{'selecter': {}, 'template': {}, 'selector': {}}", "selecter: DeploymentSpecArgs has no such key"),
        ("{'template': {}}", "spec.selector is missing"),
        ("{'selector': {}, 'template': {}, 'replicas': 'two'}", "spec.replicas: 'two' is not a int"),
        (
            "{'selector': {}, 'template': {'spec': {'containers': [{'name': 'a', 'imagee': 'b'}]}}}",
            "spec.template.spec.containers[0].imagee: ContainerArgs has no such key",
        ),
        (
            "{'selector': {}, 'template': {'spec': pulumi.Output.secret({'containers': [{'imagee': 'b'}]})}}",
            "imagee: ContainerArgs has no such key",
        ),
    ],
)
def test_strict(recordings: Recordings, tmp_path: Path, spec: str, problem: str) -> None:
    """What an SDK lets through and a provider would refuse is a problem with its path, also within outputs."""
    text = f"import pulumi\nfrom pulumi_kubernetes.apps.v1 import Deployment\nDeployment('one', spec={spec})\n"
    graph = recordings.record(program(tmp_path, text), tmp_path.name)
    assert any(problem in each for each in graph.problems), graph.problems
    with pytest.raises(AssertionError, match="Deployment::one"):
        graph.check()


def test_configuration(recordings: Recordings) -> None:
    """A wrong value fails the preview with the field's path, and without a traceback."""
    changed = {"flyteform-example:platform": {"name": "example", "preset": "dev", "edge": {"domian": "a.example.org"}}}
    graph = recordings.record(stack("base"), "example-wrong", preview=True, changes=changed)
    assert "flyteform-example:platform.edge.domian: there is no such field" in graph.failure
    assert "flyteform-example:platform.edge.domain: is missing" in graph.failure
    assert not graph.resources


def test_functions(recordings: Recordings, tmp_path: Path) -> None:
    """A function of a cloud that no table answers is a problem that says where to add it."""
    text = "import pulumi\npulumi.runtime.invoke('nowhere:index:zones', {'region': 'a'})\n"
    graph = recordings.record(program(tmp_path, text), tmp_path.name)
    assert any("no answer for the function nowhere:index:zones" in each for each in graph.problems)
