"""Secrets: what a task asks for, and how it reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flyteidl.core.identifier_pb2 import Identifier
from google.protobuf.json_format import MessageToDict

import flyteform as fl
from flyteform import idl
from flyteform.authoring import context
from flyteform.errors import DefinitionError, InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

# As flytekit 1.16 writes the same requests.
REFERENCE = {
    "secrets": [
        {"group": "db", "key": "password"},
        {"group": "db", "group_version": "v2", "key": "user", "mount_requirement": "ENV_VAR", "env_var": "DB_USER"},
        {"group": "tls", "key": "key", "mount_requirement": "FILE"},
        {"group": "whole"},
    ]
}


@fl.task(
    secret_requests=[
        fl.Secret(group="db", key="password"),
        fl.Secret("db", "user", group_version="v2", mount_requirement=fl.Secret.MountType.ENV_VAR, env_var="DB_USER"),
        fl.Secret(group="tls", key="key", mount_requirement=fl.Secret.MountType.FILE),
        fl.Secret(group="whole"),
    ]
)
def connect(n: int) -> str:
    """Tell the password."""
    return fl.current_context().secrets.get("db", "password") * n


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLYTE_SECRETS_DEFAULT_DIR", str(tmp_path))
    for name in ("DB_PASSWORD", "_FSEC_DB_PASSWORD", "FLYTE_SECRETS_ENV_PREFIX", "FLYTE_SECRETS_FILE_PREFIX"):
        monkeypatch.delenv(name, raising=False)


def template_of(task: Any) -> Any:
    """Return the template under which a task is registered."""
    return idl.task_spec(task, Identifier(name="t"), idl.Placement("a:1")).template


def test_requests_are_written_as_flytekit_writes_them() -> None:
    """Field by field, for a map over the task too; a task that asks for none has no security context."""
    for task in (connect, fl.map_task(connect)):
        written = MessageToDict(template_of(task).security_context, preserving_proto_field_name=True)
        assert written == REFERENCE

    assert not template_of(inc).HasField("security_context")


@fl.task
def inc(x: int) -> int:
    """Ask for nothing."""
    return x + 1


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        ([fl.Secret], "secret_requests has <class"),
        (["db"], "secret_requests has 'db', which is no Secret"),
    ],
)
def test_what_is_no_request_is_refused(requests: list[Any], said: str) -> None:
    """The message names the task and shows one that is right."""
    with pytest.raises(DefinitionError, match="task add: ") as caught:

        @fl.task(secret_requests=requests)
        def add(x: int) -> int:
            return x

    assert said in caught.value.message
    assert caught.value.remedy is not None
    assert 'Secret(group="db"' in caught.value.remedy


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"group": ""}, "a secret has a group"),
        ({"group": "g", "key": 1}, "names are texts"),
        ({"group": "g", "env_var": "a-b"}, "'a-b' is no name of a variable"),
        ({"group": "g", "mount_requirement": "FILE"}, "'FILE' is no way to mount"),
    ],
)
def test_a_secret_that_nobody_could_serve_is_refused(fields: dict[str, Any], said: str) -> None:
    """When it is written, with what is wrong."""
    with pytest.raises(DefinitionError, match=said):
        fl.Secret(**fields)


def test_a_run_on_this_machine_reads_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the platform's prefix or without; white space around the value is no part of it."""
    monkeypatch.setenv("DB_PASSWORD", "plain\n")
    assert connect(n=1) == "plain"
    monkeypatch.setenv("_FSEC_DB_PASSWORD", "prefixed")
    assert connect(n=2) == "prefixedprefixed"


def test_a_run_on_this_machine_reads_files(tmp_path: Path) -> None:
    """Below a folder that a variable names, by lower-case names, with the version between them."""
    (tmp_path / "db" / "v2").mkdir(parents=True)
    (tmp_path / "db" / "password").write_text("from a file\n")
    (tmp_path / "db" / "v2" / "user").write_text("her")
    assert connect(n=1) == "from a file"
    assert fl.current_context().secrets.get("DB", "User", "V2") == "her"


def test_a_secret_that_is_not_there_says_where_it_was_looked_for(tmp_path: Path) -> None:
    """The task's failure names the variables and the file, and never any value."""
    with pytest.raises(NotFoundError, match="secret 'password' of group 'db' is neither in") as caught:
        connect(n=1)
    assert "_FSEC_DB_PASSWORD or DB_PASSWORD" in caught.value.message
    assert str(tmp_path / "db" / "password") in caught.value.message
    assert "FLYTE_SECRETS_DEFAULT_DIR" in str(caught.value.remedy)


def test_a_secret_that_is_no_text_is_told_apart(tmp_path: Path) -> None:
    """The message names the file, which the task may read itself, and nothing of what is in it."""
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "password").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInputError, match=r"is no text: .*/db/password$"):
        connect(n=1)


@pytest.fixture
def attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this process an attempt on a platform."""
    monkeypatch.setattr(context, "_current", context.TaskContext(attempted=True))


@pytest.mark.usefixtures("attempt")
def test_an_attempt_reads_only_what_the_platform_has_given_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that happens to have the name is no secret there; the prefix is the platform's to choose."""
    monkeypatch.setenv("DB_PASSWORD", "plain")
    with pytest.raises(NotFoundError, match="_FSEC_DB_PASSWORD nor in the file") as caught:
        fl.current_context().secrets.get("db", "password")
    assert "secret_requests=[Secret(group='db', key='password')]" in str(caught.value.remedy)
    monkeypatch.setenv("FLYTE_SECRETS_ENV_PREFIX", "_X_")
    monkeypatch.setenv("_X_DB_PASSWORD", "theirs")
    assert fl.current_context().secrets.get("db", "password") == "theirs"
