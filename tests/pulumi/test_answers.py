"""What the provider answers to single questions, asked as the engine asks: through its service's messages."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st
from pulumi.runtime.proto import provider_pb2

from flyteform.pulumi.kinds import CONFIGURATION, TYPES
from flyteform.pulumi.provider.engine import EngineLog
from flyteform.pulumi.provider.paths import covers, differences, parse_path, path_text
from flyteform.pulumi.provider.provider import Provider
from flyteform.pulumi.provider.servicer import Servicer
from flyteform.pulumi.provider.values import UNKNOWN, decode, encode

if TYPE_CHECKING:
    from collections.abc import Mapping

URN = "urn:pulumi:test::program::flyteform:index:{}::it"
UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
TASK: dict[str, Any] = {"name": "m.t", "spec": {"template": {"type": "python-task", "interface": {}}}}
PLAN: dict[str, Any] = {
    "name": "nightly",
    "spec": {"workflow_id": {"resource_type": "WORKFLOW", "name": "m.w"}},
    "calls": {"workflow:m.w": "v1"},
}
CRON = {**PLAN["spec"], "entity_metadata": {"schedule": {"cron_schedule": {"schedule": "61 * * * *"}}}}
LIMITS: dict[str, Any] = {"name": "task_resource", "spec": {"task_resource_attributes": {"limits": {"cpu": "1"}}}}


def servicer() -> Servicer:
    """Return a provider that no engine listens to."""
    log = EngineLog()
    return Servicer(Provider(log), log, "1.2.3")


def struct(values: Mapping[str, Any]) -> Struct:
    """Return values as the protocol carries them."""
    return ParseDict(dict(values), Struct())


async def check(
    kind: str, news: Mapping[str, Any], olds: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the checked inputs, and failures by path."""
    request = provider_pb2.CheckRequest(urn=URN.format(kind), olds=struct(olds or {}), news=struct(news))
    answer = await servicer().check(request)
    return MessageToDict(answer.inputs), {each.property: each.reason for each in answer.failures}


async def diff(
    kind: str, old: Mapping[str, Any], outputs: Mapping[str, Any], new: Mapping[str, Any], ignored: tuple[str, ...] = ()
) -> provider_pb2.DiffResponse:
    """Return the comparison of a resource with new inputs."""
    request = provider_pb2.DiffRequest(
        urn=URN.format(kind),
        olds=struct({**old, **outputs}),
        old_inputs=struct(old),
        news=struct(new),
        ignoreChanges=ignored,
    )
    return await servicer().diff(request)


def kinds(answer: provider_pb2.DiffResponse) -> dict[str, str]:
    """Return what became of which property."""
    return {path: provider_pb2.PropertyDiff.Kind.Name(each.kind) for path, each in answer.detailedDiff.items()}


WRONG = [
    ("Project", {"project": "a b"}, "project"),
    ("Project", {}, "project"),
    ("Project", {"project": "p", "label": {}}, "label"),
    ("Project", {"project": "p", "labels": {"cost.center": 3}}, 'labels["cost.center"]'),
    ("Project", {"project": "p", "description": True}, "description"),
    ("Task", {**TASK, "name": "a/b"}, "name"),
    ("Task", {"name": "m.t"}, "spec"),
    ("Task", {**TASK, "spec": "text"}, "spec"),
    ("Task", {**TASK, "spec": {"template": {"container": {"imagee": "x"}}}}, "spec.template.container.imagee"),
    ("Task", {**TASK, "spec": {"template": {"metadata": {"retries": {"retries": "many"}}}}}, "spec"),
    ("Task", {**TASK, "bundle": "../../etc/passwd"}, "bundle"),
    ("Task", {**TASK, "version": "a;b"}, "version"),
    ("LaunchPlan", {**PLAN, "active": "yes"}, "active"),
    ("LaunchPlan", {**PLAN, "calls": {}}, "spec"),
    ("LaunchPlan", {**PLAN, "spec": CRON}, "spec.entity_metadata.schedule.cron_schedule.schedule"),
    ("Settings", {**LIMITS, "name": "limits"}, "name"),
    ("Settings", {**LIMITS, "name": "execution_queue"}, "spec"),
    ("Settings", {"name": "task_resource", "spec": {}}, "spec"),
    ("Metadata", {"name": "m.t", "spec": {"description": "x"}}, "name"),
    ("Policy", {"name": "nightly", "spec": {"concurrency": {"max": "x"}}}, "spec"),
]


@pytest.mark.parametrize(("kind", "inputs", "path"), WRONG, ids=lambda each: str(each)[:40])
async def test_a_failed_check_names_the_property(kind: str, inputs: dict[str, Any], path: str) -> None:
    """What is wrong with an input is said at its path."""
    _, failures = await check(kind, inputs)
    assert list(failures) == [path]
    assert failures[path]


async def test_checks_fill_in_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Project and domain come from the provider's configuration, then from the environment; settings are for all."""
    monkeypatch.setenv("FLYTEFORM_DOMAIN", "staging")
    asked = servicer()
    await asked.configure(provider_pb2.ConfigureRequest(args=struct({"project": "mine"})))
    request = provider_pb2.CheckRequest(urn=URN.format("Task"), news=struct(TASK))
    inputs = MessageToDict((await asked.check(request)).inputs)
    assert (inputs["project"], inputs["domain"]) == ("mine", "staging")
    request = provider_pb2.CheckRequest(urn=URN.format("Settings"), news=struct(LIMITS))
    inputs = MessageToDict((await asked.check(request)).inputs)
    assert (inputs["project"], inputs["domain"]) == ("mine", "")


async def test_what_is_unknown_passes_checks_and_previews() -> None:
    """Inputs and configuration that are known later fail nothing, and what follows from them is unknown too."""
    asked = servicer()
    configuration = struct({"endpoint": UNKNOWN_TEXT, "insecure": "true"})
    assert not (await asked.check_config(provider_pb2.CheckRequest(news=configuration))).failures
    await asked.configure(provider_pb2.ConfigureRequest(args=configuration))
    inputs = {
        **TASK,
        "project": UNKNOWN_TEXT,
        "domain": "d",
        "spec": {"template": {"container": {"image": UNKNOWN_TEXT}}},
    }
    checked = await asked.check(provider_pb2.CheckRequest(urn=URN.format("Task"), news=struct(inputs)))
    assert not checked.failures
    made = await asked.create(
        provider_pb2.CreateRequest(urn=URN.format("Task"), properties=checked.inputs, preview=True)
    )
    outputs = MessageToDict(made.properties)
    assert (made.id, outputs["project"], outputs["version"]) == ("", UNKNOWN_TEXT, UNKNOWN_TEXT)


async def test_configuration_is_checked() -> None:
    """A wrong address, flag or key of the provider is said at its path."""
    for wrong, path in (
        ({"endpoint": "http://"}, "endpoint"),
        ({"insecure": "maybe"}, "insecure"),
        ({"endpoint": {"a": "b"}}, "endpoint"),
    ):
        answer = await servicer().check_config(provider_pb2.CheckRequest(news=struct(wrong)))
        assert [each.property for each in answer.failures] == [path]


async def test_another_address_of_the_platform_replaces_nothing() -> None:
    """Resources of a provider stay where they are when its configuration changes."""
    answer = await servicer().diff_config(
        provider_pb2.DiffRequest(old_inputs=struct({"endpoint": "a:1"}), news=struct({"endpoint": "b:1"}))
    )
    assert (answer.changes, list(answer.replaces)) == (provider_pb2.DiffResponse.DIFF_SOME, [])


IN = {"project": "p", "domain": "d"}


async def version_of(kind: str, inputs: Mapping[str, Any]) -> str:
    """Return the version that a preview foresees."""
    request = provider_pb2.CreateRequest(urn=URN.format(kind), properties=struct(inputs), preview=True)
    asked = servicer()
    await asked.configure(provider_pb2.ConfigureRequest(args=struct({"endpoint": UNKNOWN_TEXT})))
    return str(MessageToDict((await asked.create(request)).properties)["version"])


async def test_a_new_version_is_an_update_and_another_name_a_replacement() -> None:
    """Content updates, name, project and domain replace, and both say which property it is."""
    old = {**TASK, **IN}
    known = {"version": await version_of("Task", old), "state": "active"}
    assert not kinds(await diff("Task", old, known, old))
    image = {**old, "spec": {"template": {**TASK["spec"]["template"], "container": {"image": "x"}}}}
    answer = await diff("Task", old, known, image)
    assert (kinds(answer), list(answer.replaces)) == ({"spec.template.container": "ADD"}, [])
    code = await diff("Task", old, known, {**old, "code": {"a.b": "1"}})
    assert kinds(code) == {"code": "ADD"}
    for name in ("project", "domain", "name"):
        answer = await diff("Task", old, known, {**old, name: "other"})
        assert (kinds(answer), list(answer.replaces)) == ({name: "UPDATE_REPLACE"}, [name])


async def test_a_bundle_alone_is_no_change() -> None:
    """A bundle that holds other modules too makes no new version of a task whose own code is the same."""
    old = {**TASK, **IN, "bundle": "0" * 32}
    known = {"version": await version_of("Task", old), "state": "active"}
    assert not kinds(await diff("Task", old, known, {**old, "bundle": "1" * 32}))


async def test_drift_is_found_and_can_be_ignored() -> None:
    """Another active version or an archived name is repaired, unless changes of that property are ignored."""
    old = {**PLAN, **IN, "active": True}
    version = await version_of("LaunchPlan", old)
    other = {"version": version, "state": "active", "activeVersion": "other"}
    assert kinds(await diff("LaunchPlan", old, other, old)) == {"activeVersion": "UPDATE"}
    assert not kinds(await diff("LaunchPlan", old, other, old, ("activeVersion",)))
    archived = {"version": version, "state": "archived", "activeVersion": version}
    assert kinds(await diff("LaunchPlan", old, archived, old)) == {"state": "UPDATE"}
    assert not kinds(await diff("LaunchPlan", old, archived, old, ("state",)))
    inactive = {**old, "active": False}
    active = {"version": version, "state": "active", "activeVersion": version}
    assert kinds(await diff("LaunchPlan", old, active, inactive)) == {"active": "UPDATE"}


async def test_a_given_version_cannot_mean_something_else() -> None:
    """A version that the program gives is what was registered under it: other content needs another one."""
    old = {**TASK, **IN, "version": "v1"}
    changed = {**old, "spec": {"template": {"type": "other"}}}
    assert list((await check("Task", changed, old))[1]) == ["version"]
    assert not (await check("Task", {**changed, "version": "v2"}, old))[1]
    assert not (await check("Task", {**changed, "domain": "other"}, old))[1]


async def test_the_schema_is_sound() -> None:
    """The schema has every type with known shapes, required properties that exist, and a Python package to import."""
    answer = await servicer().get_schema(provider_pb2.GetSchemaRequest(version=0))
    schema = json.loads(answer.schema)
    assert (schema["name"], schema["version"]) == ("flyteform", "1.2.3")
    assert schema["language"]["python"]["packageName"] == "flyteform.pulumi"
    assert set(schema["resources"]) == set(TYPES)
    assert set(schema["provider"]["inputProperties"]) == {each.name for each in CONFIGURATION}
    assert schema["provider"]["inputProperties"]["clientSecret"]["secret"] is True
    for token, each in schema["resources"].items():
        assert re.fullmatch(r"flyteform:index:[A-Z][A-Za-z]+", token)
        assert set(each["requiredInputs"]) <= set(each["inputProperties"])
        assert set(each["required"]) <= set(each["properties"])
        for described in (*each["inputProperties"].values(), *each["properties"].values()):
            assert described["type"] in ("string", "boolean", "object")
            assert described["description"].endswith(".")
            assert (described["type"] == "object") == ("additionalProperties" in described)


LEAVES = (
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.just(UNKNOWN)
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)
MAPS = st.dictionaries(st.text(max_size=4), TREES, max_size=4)


@given(MAPS, st.data())
def test_values_come_back_as_they_went(values: dict[str, Any], data: st.DataObject) -> None:
    """Whatever is encoded is decoded as it was, unknown and secret parts included."""
    secrets = frozenset((key,) for key in values if data.draw(st.booleans()))
    again = decode(encode(values, secrets))
    assert (again.values, again.secrets) == (values, secrets)


@given(MAPS, MAPS)
def test_paths_lead_to_what_differs(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Trees are the same exactly if no path differs, and each path can be written, read, and is covered by itself."""
    found = [path for path, _ in differences(before, after)]
    assert (not found) == (before == after)
    assert len(set(map(path_text, found))) == len(found)
    for path in found:
        assert parse_path(path_text(path)) == path
        assert covers(path[:1], path)
