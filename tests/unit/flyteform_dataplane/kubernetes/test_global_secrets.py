"""Secrets of the webhook's own process, which are for all tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flyteidl.core.security_pb2 import Secret

from flyteform.errors import InvalidInputError
from flyteform_dataplane.kubernetes.webhook.global_secrets import GlobalSecrets
from flyteform_dataplane.kubernetes.webhook.injection import KubernetesSecrets, injected

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]
SPEC: Json = {"initContainers": [{"name": "first"}], "containers": [{"name": "main"}]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with one secret, beside another file."""
    (tmp_path / "secrets" / "db").mkdir(parents=True)
    (tmp_path / "secrets" / "db" / "password").write_text("of all\n")
    (tmp_path / "outside").write_text("not to be read")
    return tmp_path / "secrets"


def variables(spec: Json, container: str = "containers") -> Json:
    """Return the variables of the first container."""
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in spec[container][0].get("env", [])}


async def test_they_go_before_those_of_kubernetes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file or a variable of the webhook's is what all containers get; what it has not comes from the namespace."""
    monkeypatch.setenv("FLYTE_SECRET_API_TOKEN", "t")
    wanted = [
        Secret(group="DB", key="Password", mount_requirement=Secret.ENV_VAR),
        Secret(group="api", key="token", env_var="TOKEN"),
        Secret(group="own", key="key", mount_requirement=Secret.ENV_VAR),
    ]
    spec = await injected(SPEC, wanted, [GlobalSecrets(folder), KubernetesSecrets()])
    for container in ("containers", "initContainers"):
        found = variables(spec, container)
        assert (found["_FSEC_DB_PASSWORD"], found["_FSEC_API_TOKEN"], found["TOKEN"]) == ("of all", "t", "t")
        assert found["FLYTE_SECRETS_ENV_PREFIX"] == "_FSEC_"
        assert found["_FSEC_OWN_KEY"]["secretKeyRef"]["name"] == "own"
    assert "volumes" not in spec


async def test_names_are_flytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked for as they are written and in lower case; a version need not be in the name, and may be."""
    (folder / "Api").mkdir()
    (folder / "Api" / "Token").write_text("as written")
    monkeypatch.setenv("FLYTE_SECRET_DB_V2_USER", "second")
    wanted = [
        Secret(group="Api", key="Token"),
        Secret(group="db", group_version="v1", key="password"),
        Secret(group="db", group_version="v2", key="user"),
    ]
    found = variables(await injected(SPEC, wanted, [GlobalSecrets(folder)]))
    assert (found["_FSEC_API_TOKEN"], found["_FSEC_DB_PASSWORD"], found["_FSEC_DB_USER"]) == (
        "as written", "of all", "second",
    )  # fmt: skip


async def test_a_secret_without_a_key_is_nobodys(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that only has the prefix is not taken for one."""
    monkeypatch.setenv("FLYTE_SECRET_DB", "x")
    with pytest.raises(InvalidInputError, match="there is no global secret ''"):
        await injected(SPEC, [Secret(group="db")], [GlobalSecrets(folder)])


async def test_a_file_is_never_global(folder: Path) -> None:
    """A task that needs a file gets that of Kubernetes, though the webhook has a secret of the name."""
    wanted = Secret(group="db", key="password", mount_requirement=Secret.FILE)
    spec = await injected(SPEC, [wanted], [GlobalSecrets(folder), KubernetesSecrets()])
    assert spec["volumes"][0]["secret"]["secretName"] == "db"
    assert "_FSEC_DB_PASSWORD" not in variables(spec)


@pytest.mark.parametrize(
    ("group", "key"),
    [("..", "outside"), ("db", "../../outside"), ("", "outside"), ("db", ".."), ("a/b", "c"), ("db", "\0")],
)
async def test_names_do_not_lead_out_of_the_folder(folder: Path, group: str, key: str) -> None:
    """Whatever a pod asks for, only secrets are read, and the refusal says nothing of files."""
    with pytest.raises(InvalidInputError, match="there is no global secret") as caught:
        await injected(SPEC, [Secret(group=group, key=key)], [GlobalSecrets(folder)])
    assert str(folder) not in caught.value.message
