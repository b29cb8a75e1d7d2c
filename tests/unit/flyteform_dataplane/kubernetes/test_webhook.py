"""How pods get the secrets that their tasks ask for."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import aiohttp
import kubernetes_validate
import pytest
from aiohttp.test_utils import TestClient, TestServer
from flyteidl.core.security_pb2 import Secret
from hypothesis import given, settings
from hypothesis import strategies as st

from flyteform.errors import ConflictError, InvalidInputError
from flyteform_dataplane.kubernetes.webhook.__main__ import main
from flyteform_dataplane.kubernetes.webhook.injection import KubernetesSecrets, injected
from flyteform_dataplane.kubernetes.webhook.manifest import PATH, configuration, service_client
from flyteform_dataplane.kubernetes.webhook.requests import annotations_of, secrets_of
from flyteform_dataplane.kubernetes.webhook.server import Certificate, application, serving
from support.certificates import self_signed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.pods import Json

SPEC: Json = {
    "initContainers": [{"name": "first", "image": "i:1"}],
    "containers": [{"name": "main", "image": "i:1", "env": [{"name": "A", "value": "1"}]}],
}
FILE = Secret(group="Db", key="Password", mount_requirement=Secret.FILE)
VARIABLE = Secret(group="Db", key="Password", mount_requirement=Secret.ENV_VAR)


def variables(container: Json) -> Json:
    """Return those of a container by their names."""
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}


@given(
    st.builds(
        Secret,
        group=st.text(),
        key=st.text(),
        group_version=st.text(),
        env_var=st.text(),
        mount_requirement=st.sampled_from([0, 1, 2]),
    )
)
def test_requests_survive_annotations(secret: Secret) -> None:
    """Whatever a task asks for is what the webhook reads, in names that Kubernetes takes."""
    written = annotations_of([secret, FILE])
    assert secrets_of({"other": "x", **written}) == [secret, FILE]
    assert all(value.isalnum() or not value for value in written.values())


def test_an_annotation_of_flytes_own_is_read() -> None:
    """The text of a request, in base32 with Flyte's letters and without padding."""
    assert annotations_of([Secret(group="g", key="k")]) == {"flyte.secrets/s0": "m4zg54lqhiqcezzcbjvwk5j1eargwiqk"}


async def test_a_file() -> None:
    """All containers see it where Flyte's clients look, which variables tell them."""
    spec = await injected(SPEC, [FILE, Secret(group="Db", key="User")], [KubernetesSecrets()])
    (volume,) = spec["volumes"]
    assert volume["secret"] == {
        "secretName": "Db",
        "items": [{"key": "Password", "path": "password"}, {"key": "User", "path": "user"}],
        "optional": True,
    }
    for container in (spec["initContainers"][0], spec["containers"][0]):
        mount = {"name": volume["name"], "mountPath": "/etc/flyte/secrets/db", "readOnly": True}
        assert container["volumeMounts"] == [mount]
        assert variables(container)["FLYTE_SECRETS_DEFAULT_DIR"] == "/etc/flyte/secrets"
        assert variables(container)["FLYTE_SECRETS_FILE_PREFIX"] == ""
    kubernetes_validate.validate(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}, "1.36", strict=True
    )
    assert "volumes" not in SPEC


async def test_a_variable() -> None:
    """Its name is Flyte's, beside the one that the task wants; the pod names the secret and never has its value."""
    secret = Secret(group="Db", key="Password", mount_requirement=Secret.ENV_VAR, env_var="DB")
    spec = await injected(SPEC, [secret], [KubernetesSecrets()])
    source = {"secretKeyRef": {"name": "Db", "key": "Password", "optional": True}}
    for container in (spec["initContainers"][0], spec["containers"][0]):
        found = variables(container)
        assert (found["_FSEC_DB_PASSWORD"], found["DB"]) == (source, source)
        assert found["FLYTE_SECRETS_ENV_PREFIX"] == "_FSEC_"


async def test_where_a_file_is_may_be_told() -> None:
    """The variable that the task names has the file's path."""
    secret = Secret(group="Db", key="Password", mount_requirement=Secret.FILE, env_var="DB")
    spec = await injected(SPEC, [secret], [KubernetesSecrets()])
    assert variables(spec["containers"][0])["DB"] == "/etc/flyte/secrets/db/password"


async def test_variables_of_the_task_itself_stay() -> None:
    """A secret takes no name that a container has given to something else."""
    secret = Secret(group="g", key="k", mount_requirement=Secret.ENV_VAR, env_var="A")
    spec = await injected(SPEC, [secret], [KubernetesSecrets()])
    assert variables(spec["containers"][0])["A"] == "1"


async def test_a_secret_without_a_key_is_refused() -> None:
    """The message says what Kubernetes needs."""
    with pytest.raises(InvalidInputError, match="needs a group and a key"):
        await injected(SPEC, [Secret(group="Db")], [KubernetesSecrets()])


@pytest.mark.parametrize("name", ["..", ".", "..data", "../x", "a/b", "a b", "\0", "é", "x" * 254])
async def test_a_name_that_no_secret_has_is_refused(name: str) -> None:
    """Before it is the part of a path: the kubelet would wait for it for ever, or mount it elsewhere."""
    for secret in (Secret(group=name, key="k"), Secret(group="g", key=name)):
        for kind in (Secret.FILE, Secret.ENV_VAR):
            secret.mount_requirement = kind
            with pytest.raises(InvalidInputError, match="Kubernetes has no secret"):
                await injected(SPEC, [secret], [KubernetesSecrets()])


class Elsewhere:
    """A manager that has one secret."""

    async def inject(self, secret: Secret, spec: Json) -> None:
        """Note it in the pod."""
        spec["half"] = "done"
        if secret.group != "vault":
            raise InvalidInputError("not in the vault")
        spec["vault"] = secret.key


async def test_managers_are_asked_one_after_the_other() -> None:
    """The first that can serves; what another has begun is not kept; none that can is an error with all reasons."""
    managers = [Elsewhere(), KubernetesSecrets()]
    spec = await injected(SPEC, [Secret(group="vault", key="x"), VARIABLE], managers)
    assert spec["vault"] == "x"
    assert "_FSEC_DB_PASSWORD" in variables(spec["containers"][0])
    assert "half" not in await injected(SPEC, [VARIABLE], managers)
    with pytest.raises(InvalidInputError, match="not in the vault; a secret of Kubernetes needs"):
        await injected(SPEC, [Secret(group="other")], managers)


def test_the_manifest_is_one_that_kubernetes_takes() -> None:
    """Only pods that ask wait for the webhook, and they do not start without it."""
    made = configuration(service_client("secrets", "flyteform"), certificate="flyteform/secrets")
    kubernetes_validate.validate(made, "1.36", strict=True)
    (hook,) = made["webhooks"]
    assert hook["objectSelector"] == {"matchLabels": {"inject-flyte-secrets": "true"}}
    assert hook["failurePolicy"] == "Fail"
    assert made["metadata"]["annotations"] == {"cert-manager.io/inject-ca-from": "flyteform/secrets"}


class Webhook:
    """A webhook that serves, and whoever asks it."""

    def __init__(self, port: int, folder: Path) -> None:
        self.folder = folder
        self.url = f"https://127.0.0.1:{port}"

    async def ask(self, body: object, path: str = PATH) -> tuple[int, Json]:
        """Send a request as the API server would, and return the answer."""
        trusted = ssl.create_default_context(cafile=self.folder / "tls.crt")
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}{path}", json=body, ssl=trusted) as answer,
        ):
            text = await answer.text()
            return answer.status, json.loads(text) if text.startswith("{") else {"text": text}


@pytest.fixture
async def webhook(tmp_path: Path) -> AsyncIterator[Webhook]:
    """Serve one."""
    async with serving("127.0.0.1", 0, Certificate(*self_signed(tmp_path)), look=0.01) as port:
        yield Webhook(port, tmp_path)


def review(annotations: dict[str, str]) -> Json:
    """Return a request to admit a pod."""
    pod = {"metadata": {"name": "p", "annotations": annotations}, "spec": SPEC}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "7", "object": pod}}


async def test_a_review_is_answered_with_a_patch(webhook: Webhook) -> None:
    """What the API server gets is the pod with its secrets."""
    status, answer = await webhook.ask(review(annotations_of([VARIABLE])))
    response = answer["response"]
    assert (status, response["uid"], response["allowed"], response["patchType"]) == (200, "7", True, "JSONPatch")
    (operation,) = json.loads(base64.b64decode(response["patch"]))
    assert (operation["op"], operation["path"]) == ("replace", "/spec")
    assert "_FSEC_DB_PASSWORD" in variables(operation["value"]["containers"][0])


async def test_a_pod_that_asks_for_nothing_stays_as_it_is(webhook: Webhook) -> None:
    """No patch."""
    assert (await webhook.ask(review({})))[1]["response"] == {"uid": "7", "allowed": True}


@pytest.mark.parametrize("annotations", [{"flyte.secrets/s0": "!"}, annotations_of([Secret(group="only")])])
async def test_what_cannot_be_served_is_refused(webhook: Webhook, annotations: dict[str, str]) -> None:
    """The pod is not made, and its attempt's failure has the sentence."""
    response = (await webhook.ask(review(annotations)))[1]["response"]
    assert not response["allowed"]
    assert "secret" in response["status"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"request": {}},
        {"request": {"uid": "7", "object": {"metadata": 1}}},
        {"request": {"uid": "7", "object": {"metadata": {}, "spec": {}}}},
        {"request": {"uid": "7", "object": {"metadata": {}, "spec": {"containers": [1]}}}},
        {"request": {"uid": "7", "object": {"metadata": {}, "spec": {"containers": [{"name": "a", "env": [{}]}]}}}},
    ],
)
async def test_what_is_no_review_is_refused(webhook: Webhook, body: object) -> None:
    """Nobody but an API server asks so, and the server goes on."""
    status, answer = await webhook.ask(body)
    assert status == 400
    assert "no AdmissionReview" in str(answer)
    assert (await webhook.ask(review({})))[0] == 200


NOTHING = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
ANYTHING = st.recursive(
    NOTHING,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "env", "volumeMounts", "secret", "value", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)
SPECS = st.dictionaries(
    st.sampled_from(["containers", "initContainers", "volumes", "nodeName"]),
    ANYTHING | st.lists(st.fixed_dictionaries({"name": st.text(max_size=3)}, optional={"env": ANYTHING}), max_size=2),
)


@settings(max_examples=50)
@given(SPECS, st.dictionaries(st.sampled_from(["flyte.secrets/s0", "flyte.secrets/s1"]), st.text(max_size=30)))
async def test_garbage_never_breaks_it(spec: Json, annotations: dict[str, str]) -> None:
    """Whatever stands in a pod and its annotations, the answer is a patch, a refusal, or that it is no review."""
    asked = {"request": {"uid": "7", "object": {"metadata": {"annotations": annotations}, "spec": spec}}}
    with_secret = {"request": {"uid": "7", "object": {"metadata": {"annotations": ASKING}, "spec": spec}}}
    async with TestClient(TestServer(application((KubernetesSecrets(),)))) as client:
        for body in (asked, with_secret):
            answer = await client.post(PATH, json=body)
            assert answer.status in (200, 400), await answer.text()
        assert (await client.get("/healthz")).status == 200


ASKING = annotations_of([FILE, VARIABLE])


async def test_null_is_nothing(webhook: Webhook) -> None:
    """Lists that are null, which some clients write for none, are filled."""
    pod = {"metadata": {"annotations": ASKING}, "spec": {"initContainers": None, "volumes": None, "containers": BARE}}
    status, answer = await webhook.ask({"request": {"uid": "7", "object": pod}})
    assert (status, answer["response"]["allowed"]) == (200, True)
    (operation,) = json.loads(base64.b64decode(answer["response"]["patch"]))
    assert len(operation["value"]["containers"][0]["volumeMounts"]) == 1


BARE = [{"name": "main", "env": None, "volumeMounts": None}]


async def test_a_renewed_certificate_is_served(webhook: Webhook) -> None:
    """Without a new start: who trusts only the new one gets an answer; half a renewal changes nothing."""
    key = webhook.folder / "tls.key"
    key.write_text("half")
    assert (await webhook.ask(review({})))[0] == 200
    self_signed(webhook.folder)
    os.utime(key, (1, 1))

    async def answers() -> bool:
        try:
            return (await webhook.ask(review({})))[0] == 200
        except aiohttp.ClientConnectorCertificateError:
            return False

    async with asyncio.timeout(60):
        while not await answers():  # noqa: ASYNC110 - a server sets no asyncio.Event
            await asyncio.sleep(0.01)


def test_a_certificate_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    """The process ends with the names of the files."""
    command = [sys.executable, "-m", "flyteform_dataplane.kubernetes.webhook", "--certificate=/no", f"--key={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Error: the certificate /no" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    """The message names the address and what to do."""
    certificate = Certificate(*self_signed(tmp_path))
    async with serving("127.0.0.1", 0, certificate) as port:
        with pytest.raises(ConflictError, match=f"127.0.0.1:{port} cannot be listened on"):
            async with serving("127.0.0.1", port, certificate):
                pass


def test_a_port_that_is_none_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the flag."""
    with pytest.raises(SystemExit):
        main(["--certificate=/c", "--key=/k", "--port=70000"])
    assert "--port" in capsys.readouterr().err
