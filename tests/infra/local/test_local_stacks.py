"""A platform on this machine: whole graphs against golden files, and configurations that cannot be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from flyteform_local.config import LocalConfig
from flyteform_platform.config.reading import parse_config
from flyteform_platform.errors import ConfigError
from support.recording.goldens import compare
from support.recording.graph import read_graph
from support.recording.stacks import shipped, stack_of

if TYPE_CHECKING:
    from support.recording.stacks import Recordings

PLATFORM = "flyteform-embedded:index:Platform"


def without_digests(value: Any) -> Any:
    """Return a recording in which digests of code stand for any: golden files are no copies of the example."""
    match value:
        case dict():
            return {key: without_digests(each) for key, each in value.items()}
        case list():
            return [without_digests(each) for each in value]
        case str() if re.fullmatch(r"[0-9a-f]{32}|[0-9a-f]{64}", value):
            return "(digest)"
        case _:
            return value


@pytest.mark.parametrize("stack", shipped("local"))
def test_golden(recordings: Recordings, stack: str) -> None:
    """The stack's resources are as its golden file says."""
    document = recordings.shipped("local", stack).check().document
    compare(read_graph("local", stack, without_digests(document)))


@pytest.mark.parametrize("stack", shipped("local"))
def test_preview(recordings: Recordings, stack: str) -> None:
    """The first preview, in which nobody knows where the platform will serve, runs to its end."""
    graph = recordings.shipped("local", stack, preview=True).check()
    assert graph.document["outputs"].keys() >= {"endpoint", "url", "workflow"}


def test_all_goes_with_the_platform(recordings: Recordings) -> None:
    """Whatever is declared on the platform is deleted and replaced with it, also what a workflow implies."""
    graph = recordings.shipped("local", "dev").check()
    (platform,) = graph.of(PLATFORM)
    on_it = [each for each in graph.resources if each.type.startswith("flyteform:")]
    assert len(on_it) == 8
    for each in on_it:
        assert each.options["deletedWith"] == platform.urn
        assert each.options["replaceWith"] == [platform.urn]


@pytest.mark.parametrize("stack", shipped("local"))
def test_shipped(stack: str) -> None:
    """The shipped configurations are right as they are."""
    parse_config(LocalConfig, stack_of("local", stack).settings["flyteform-local:platform"])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"prots": 1}, "platform.prots: there is no such field"),
        ({"stateDir": "state"}, "platform.stateDir"),
        ({"grpcPort": 65536}, "platform.grpcPort"),
        ({"retainData": "perhaps"}, "platform.retainData"),
        ({"example": {"schedule": "every day"}}, "platform.example.schedule"),
        ({"example": {"project": "a b"}}, "platform.example.project"),
    ],
    ids=str,
)
def test_refused(change: dict[str, Any], problem: str) -> None:
    """A wrong value is refused with the field's path."""
    given = {**stack_of("local", "dev").settings["flyteform-local:platform"], **change}
    with pytest.raises(ConfigError) as refused:
        parse_config(LocalConfig, given)
    assert problem in str(refused.value)


def test_without_the_example(recordings: Recordings) -> None:
    """A stack may be the platform alone, in a directory by the stack's name."""
    changes = {"flyteform-local:platform": {"example": None}}
    graph = recordings.record(stack_of("local", "dev"), "local-alone", changes=changes).check()
    assert [each.type for each in graph.resources] == [PLATFORM]
    assert graph.one(PLATFORM).at("stateDir") == "~/.local/state/flyteform-dev"
