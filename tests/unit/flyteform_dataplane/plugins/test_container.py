"""Container tasks: their command, environment and resources."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flyteidl.core.identifier_pb2 import Identifier, WorkflowExecutionIdentifier
from flyteidl.core.literals_pb2 import Blob, Literal, LiteralMap, Primitive, Scalar, Union
from flyteidl.core.security_pb2 import Secret
from flyteidl.core.tasks_pb2 import Resources, TaskTemplate

from flyteform_dataplane.errors import UserError
from flyteform_dataplane.plugins import TaskContext, default_registry
from flyteform_dataplane.plugins.arguments import literal_text
from flyteform_dataplane.plugins.container import ContainerPlugin
from flyteform_dataplane.plugins.resources import limits_of, parse_quantity
from flyteform_dataplane.ports import AttemptSpec, Limits
from support.closures import integer, integers, literals


def context(*args: str, inputs: LiteralMap | None = None, index: int | None = None) -> TaskContext:
    """Return an attempt's context."""
    task = TaskTemplate(type="python-task", id=Identifier(project="tp", domain="td", name="t", version="v"))
    task.container.image = "image"
    task.container.command.append("run")
    task.container.args.extend(args)
    task.container.env.add(key="MINE", value="1")
    return TaskContext(
        name="p/d/e/n/0",
        execution=WorkflowExecutionIdentifier(project="p", domain="d", name="e"),
        workflow=Identifier(project="p", domain="d", name="wf"),
        node="n",
        index=index,
        attempt=2,
        task=task,
        inputs=inputs or LiteralMap(),
        inputs_uri="s3://b/n/data/inputs.pb",
        output_prefix="s3://b/n/data/2",
        raw_output_prefix="s3://b/raw/e-n-2",
        task_template_uri="s3://b/n/data/task.pb",
        environment={"THEIRS": "2"},
    )


def prepared(task: TaskContext) -> AttemptSpec:
    """Return what the plugin makes of it."""
    spec = ContainerPlugin().prepare(task)
    assert isinstance(spec, AttemptSpec)
    return spec


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{.input}}", "s3://b/n/data/inputs.pb"),
        ("{{ .Input }}", "s3://b/n/data/inputs.pb"),
        ("{{$INPUTPREFIX}}", "s3://b/n/data"),
        ("--to={{.outputPrefix}}/x", "--to=s3://b/n/data/2/x"),
        ("{{.rawOutputDataPrefix}}", "s3://b/raw/e-n-2"),
        ("{{.checkpointOutputPrefix}}", "s3://b/raw/e-n-2/_flytecheckpoints"),
        ("{{.prevCheckpointPrefix}}", '""'),
        ("{{.perRetryUniqueKey}}", "e_n_0"),
        ("{{.taskTemplatePath}}", "s3://b/n/data/task.pb"),
        ("{{.namespace}}", "p-d"),
        ("{{.inputs.x}} {{.INPUTS.x}}", "3 3"),
        ("{{.unknown}} {{ plain }}", "{{.unknown}} {{ plain }}"),
    ],
)
def test_placeholders(text: str, expected: str) -> None:
    """Every placeholder of the contract is filled in, in any case; others stay."""
    assert prepared(context(text, inputs=literals(x=3))).command == ("run", expected)


def test_a_key_is_a_name_that_databases_take() -> None:
    """Letters, digits and underscores, with no digit in front."""
    given = replace(context("{{.perRetryUniqueKey}}"), name="p/d/7-days/n.0/12/3")
    assert prepared(given).command[-1] == "adays_n_0_12_3"


def test_previous_checkpoint() -> None:
    """A retry is told where the attempt before it left its checkpoints."""
    task = replace(context("{{.prevCheckpointPrefix}}"), previous_checkpoint="s3://b/before")
    assert prepared(task).command[-1] == "s3://b/before"


def test_unknown_input_is_refused() -> None:
    """A command that names an input which the task has not is the user's error."""
    with pytest.raises(UserError, match="names an input 'y'"):
        prepared(context("{{.inputs.y}}"))


@pytest.mark.parametrize(
    ("primitive", "text"),
    [
        (Primitive(integer=-4), "-4"),
        (Primitive(float_value=2.0), "2"),
        (Primitive(float_value=0.125), "0.125"),
        (Primitive(string_value="a b"), "a b"),
        (Primitive(boolean=True), "true"),
    ],
)
def test_texts_of_primitives(primitive: Primitive, text: str) -> None:
    """Primitives are written as Flyte writes them."""
    assert literal_text(Literal(scalar=Scalar(primitive=primitive))) == text


def test_texts_of_other_literals() -> None:
    """Times, durations, files, lists and unions have a text; maps have none."""
    moment, hour = Primitive(), Primitive()
    moment.datetime.FromDatetime(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    hour.duration.FromTimedelta(timedelta(hours=1, seconds=2.5))
    assert literal_text(Literal(scalar=Scalar(primitive=moment))) == "2026-01-02T03:04:05Z"
    assert literal_text(Literal(scalar=Scalar(primitive=hour))) == "1h0m2.5s"
    assert literal_text(Literal(scalar=Scalar(blob=Blob(uri="s3://x")))) == "s3://x"
    assert literal_text(integers(1, 2)) == "[1,2]"
    assert literal_text(Literal(scalar=Scalar(union=Union(value=integer(5))))) == "5"
    with pytest.raises(UserError, match="a map value"):
        literal_text(Literal(map=literals(x=1)))


def test_environment() -> None:
    """Flyte's variables, the task's own and the execution's are set; those of arrays only for arrays."""
    environment = prepared(context()).environment
    expected = {
        "MINE": "1",
        "THEIRS": "2",
        "FLYTE_INTERNAL_EXECUTION_ID": "e",
        "FLYTE_INTERNAL_EXECUTION_PROJECT": "p",
        "FLYTE_INTERNAL_EXECUTION_DOMAIN": "d",
        "FLYTE_INTERNAL_EXECUTION_WORKFLOW": "p:d:wf",
        "FLYTE_INTERNAL_TASK_PROJECT": "tp",
        "FLYTE_INTERNAL_TASK_DOMAIN": "td",
        "FLYTE_INTERNAL_TASK_NAME": "t",
        "FLYTE_INTERNAL_TASK_VERSION": "v",
        "FLYTE_ATTEMPT_NUMBER": "2",
    }
    assert expected.items() <= environment.items()
    assert "FLYTE_K8S_ARRAY_INDEX" not in environment
    item = prepared(context(index=7)).environment
    assert item[item["BATCH_JOB_ARRAY_INDEX_VAR_NAME"]] == "7"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("500m", 0.5),
        ("1.5", 1.5),
        ("2Gi", 2 * 1024**3),
        ("3M", 3e6),
        ("2e3", 2000),
        (" 1Ki ", 1024),
        (".5", 0.5),
    ],
)
def test_quantities(text: str, value: float) -> None:
    """Kubernetes' ways to write a quantity are read."""
    assert parse_quantity(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "lots", "1 Gi", "1GiB", "-1", "0x1"])
def test_wrong_quantities(text: str) -> None:
    """What is no quantity is the user's error, which names it."""
    with pytest.raises(UserError, match="no quantity"):
        parse_quantity(text)


def test_limits() -> None:
    """Resource entries become numbers; storage is nothing that a machine would share out."""
    entries = Resources(
        requests=[
            Resources.ResourceEntry(name=Resources.CPU, value="16"),
            Resources.ResourceEntry(name=Resources.MEMORY, value="512Mi"),
            Resources.ResourceEntry(name=Resources.GPU, value="1"),
            Resources.ResourceEntry(name=Resources.EPHEMERAL_STORAGE, value="1Gi"),
        ]
    ).requests
    assert limits_of(entries) == Limits(cpu=16.0, memory=512 * 1024**2, gpu=1)


def test_a_pod_is_no_process() -> None:
    """A command that was given a pod by its node's pod template is refused with a sentence that says what to do."""
    given = context()
    given.task.k8s_pod.primary_container_name = "main"
    with pytest.raises(UserError, match="task t brings a pod, which this platform has no cluster for") as caught:
        ContainerPlugin().prepare(given)
    assert "leave out its pod template" in (caught.value.remedy or "")


async def test_unknown_type() -> None:
    """A task type without a plugin is refused with the names of those that have one."""
    with pytest.raises(UserError, match="'spark'") as caught:
        await default_registry().plugin(TaskTemplate(type="spark"))
    assert caught.value.remedy is not None
    assert "python-task" in caught.value.remedy


def test_a_task_gets_the_secrets_that_it_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data plane's own, as a variable or a folder of files, and no others; the task's own variables stay."""
    monkeypatch.delenv("FLYTE_SECRETS_DEFAULT_DIR", raising=False)
    for name in ("_FSEC_DB_PASSWORD", "_FSEC_DB_USER_V2", "_FSEC_OTHER_KEY", "_FSEC_MINE_X"):
        monkeypatch.setenv(name, f"value of {name}")
    asking = context()
    secrets = asking.task.security_context.secrets
    secrets.add(group="db", key="password", env_var="DB")
    secrets.add(group="db", key="missing")
    secrets.add(group="mine", key="x", env_var="MINE")
    secrets.add(group="tls", key="Key", mount_requirement=Secret.FILE, env_var="TLS")
    found = prepared(asking).environment
    assert [found[name] for name in ("_FSEC_DB_PASSWORD", "DB")] == ["value of _FSEC_DB_PASSWORD"] * 2
    assert found["MINE"] == "1"
    assert not {"_FSEC_OTHER_KEY", "_FSEC_DB_MISSING", "TLS", "FLYTE_SECRETS_DEFAULT_DIR"} & found.keys()
    monkeypatch.setenv("FLYTE_SECRETS_DEFAULT_DIR", "/secrets")
    found = prepared(asking).environment
    assert (found["FLYTE_SECRETS_DEFAULT_DIR"], found["TLS"]) == ("/secrets", "/secrets/tls/key")
    assert "FLYTE_SECRETS_DEFAULT_DIR" not in prepared(context()).environment
