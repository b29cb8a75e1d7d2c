"""The operator's configuration: what a file and the environment say, what is refused, and what flags win over."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import typing
import urllib.request
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from flyteform.errors import InvalidInputError
from flyteform_controlplane.configuration.reading import read_configuration
from flyteform_controlplane.configuration.sections import Root
from flyteform_controlplane.dispatch.config import DispatchConfig
from flyteform_controlplane.domain.config import AdminConfig, Domain, QualityConfig, QueueConfig, TaskResources

DOCUMENTATION = Path(__file__).parents[4] / "docs" / "operations.md"
PREFIX = "FLYTEFORM_CONTROLPLANE__"


def read(tmp_path: Path, text: str, suffix: str = "yaml", **environ: str) -> Any:
    """Read the text as a file."""
    file = tmp_path / f"config.{suffix}"
    file.write_text(text)
    return read_configuration(file, environ)


def test_without_a_word_everything_is_as_built_in() -> None:
    """No file and no variable leave every default of the parts, and say nothing about the process."""
    configuration = read_configuration(None, {})
    assert configuration.admin == AdminConfig()
    assert configuration.dispatch == DispatchConfig()
    assert configuration.process == {}


def test_flytes_sections_reach_the_parts(tmp_path: Path) -> None:
    """Settings in Flyte's spelling arrive in the settings of the parts; amounts may be numbers."""
    configuration = read(
        tmp_path,
        """
        server: {httpPort: 0, grpc: {port: 0}, security: {useAuth: true}, publicUrl: "https://flyte.example.org/"}
        flyteadmin: {maxParallelism: 9, k8sServiceAccount: app, outputLocationPrefix: s3://raw, envs: {A: 1}}
        domains: [{id: test, name: Test}]
        task_resources: {defaults: {cpu: 1}, limits: {cpu: 2, ephemeralStorage: 1Gi}}
        registration: {maxWorkflowNodes: 3, workflowSizeLimit: 1Mi}
        remoteData: {maxSizeInBytes: 10, signedUrls: {durationMinutes: 5}}
        queues:
          executionQueues: [{dynamic: q1, attributes: [gpu, big]}, {dynamic: q2, attributes: [gpu]}]
          workflowConfigs: [{tags: [big]}, {domain: test, tags: [gpu]}]
        qualityOfService: {tierExecutionValues: {HIGH: {queueingBudget: 1h30m}}, defaultTiers: {test: HIGH}}
        dispatch: {leaseTtl: 90s, attempts: 2}
        clusters: {weights: {west: 2.5}}
        """,
    )
    assert configuration.process == {
        "http_port": 0,
        "grpc_port": 0,
        "auth": True,
        "public_url": "https://flyte.example.org",
    }
    assert configuration.admin == replace(
        AdminConfig(),
        max_parallelism=9,
        kubernetes_service_account="app",
        raw_output_prefix="s3://raw",
        envs={"A": "1"},
        domains=(Domain("test", "Test"),),
        task_defaults=TaskResources(cpu="1"),
        task_limits=TaskResources(cpu="2", ephemeral_storage="1Gi"),
        max_workflow_nodes=3,
        max_closure_bytes=1024 * 1024,
        max_inline_bytes=10,
        signed_url_expiry=timedelta(minutes=5),
        queues=QueueConfig({"gpu": ("q1", "q2"), "big": ("q1",)}, {"": ("big",), "test": ("gpu",)}),
        quality=QualityConfig({"HIGH": timedelta(hours=1, minutes=30)}, {"test": "HIGH"}),
    )
    assert configuration.dispatch == DispatchConfig(lease_ttl=timedelta(seconds=90), attempts=2, weights={"west": 2.5})


def test_variables_win_over_the_file(tmp_path: Path) -> None:
    """A variable replaces one setting of the file, in whichever spelling it was written there; TOML is read too."""
    variables = {f"{PREFIX}FLYTEADMIN__MAX_PARALLELISM": "5", f"{PREFIX}DATABASE__URL": "postgresql://db/x"}
    for text, suffix in (
        ("flyteadmin: {max_parallelism: 9, interruptible: true}", "yaml"),
        ("[flyteadmin]\nmaxParallelism = 9\ninterruptible = true", "toml"),
    ):
        configuration = read(tmp_path, text, suffix, **variables)
        assert configuration.admin.max_parallelism == 5
        assert configuration.admin.interruptible
        assert configuration.process == {"database_url": "postgresql://db/x"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("server: {grpc: {port: 70000}}", "server.grpc.port: "),
        ("server: {grcp: {}}", "server.grcp: there is no such setting"),
        ("task_resources: {defaults: {memory: lots}}", "task_resources.defaults.memory: not a quantity"),
        ("task_resources: {defaults: {cpu: 4}, limits: {cpu: 2}}", "task_resources: the default of cpu, 4, is above"),
        ("dispatch: {leaseTtl: 5}", "dispatch.leaseTtl: not a duration"),
        ("domains: []", "domains: "),
        ("domains: [{name: x}]", "domains.0.id: is missing"),
        ("qualityOfService: {defaultTiers: {nowhere: HIGH}}", "qualityOfService.defaultTiers names 'nowhere'"),
        ("qualityOfService: {defaultTiers: {staging: BEST}}", "qualityOfService.defaultTiers.staging: "),
        ("- server", "no mapping of sections"),
        ("server: {host: [", "cannot be parsed: line 1"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(tmp_path: Path, text: str, told: str) -> None:
    """Every refusal has the file's name and the path of the setting, in one message."""
    with pytest.raises(InvalidInputError, match=re.escape(told)) as refusal:
        read(tmp_path, text)
    assert "config.yaml" in refusal.value.message


def test_wrong_variable_is_named_and_a_secret_is_not_told(tmp_path: Path) -> None:
    """The variable's name is in the message; what it holds is not."""
    with pytest.raises(InvalidInputError, match=f"{PREFIX}SCHEDULER__CATCH_UP: scheduler.catchUp: "):
        read(tmp_path, "", **{f"{PREFIX}SCHEDULER__CATCH_UP": "some"})
    with pytest.raises(InvalidInputError) as refusal:
        read(tmp_path, "", **{f"{PREFIX}DATABASE__URL": "[postgresql://user:hunter2@db]"})
    assert "hunter2" not in refusal.value.message
    with pytest.raises(InvalidInputError, match=r"nowhere\.yaml cannot be read"):
        read_configuration(tmp_path / "nowhere.yaml", {})


def settings_of(model: type[BaseModel]) -> set[str]:
    """Return the names of all single settings."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        inner = [model for model in models_in(field.annotation) if model is not None]
        found |= {field.alias or name} if not inner else set().union(*map(settings_of, inner))
    return found


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the sections within a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in typing.get_args(annotation) for model in models_in(argument)]


def test_every_setting_is_documented() -> None:
    """The page for operators has each setting and each section by its name."""
    rows = [line for line in DOCUMENTATION.read_text().splitlines() if line.startswith("| `")]
    names = {name for row in rows for name in re.findall(r"[A-Za-z_0-9]+", row.split("|")[1])}
    sections = {field.alias or name for name, field in Root.model_fields.items()}
    assert settings_of(Root) | sections <= names


def test_the_program_takes_the_file_and_its_flags_win(tmp_path: Path) -> None:
    """A running control plane has the file's domains, listens where the flag says, and a wrong file ends it."""
    file = tmp_path / "config.yaml"
    file.write_text("{server: {httpPort: 1, grpc: {port: 0}}, domains: [{id: only}]}")
    command = [sys.executable, "-m", "flyteform_controlplane", "--state-dir", str(tmp_path / "state")]
    environ = {**os.environ, "FLYTEFORM_CONFIG": str(file)}
    with subprocess.Popen(
        [*command, "--http-port", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environ
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        http = line.rpartition("http=")[2].strip()
        with urllib.request.urlopen(f"{http}/api/v1/domains") as answer:  # noqa: S310 - our own server
            assert [domain["id"] for domain in json.load(answer)["domains"]] == ["only"]
        process.terminate()
        process.communicate(timeout=10)
    file.write_text("{servers: {}}")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, env=environ)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {file}: servers: there is no such setting\n  → ")
