"""A profile from the settings of a Flyte data plane."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from flyteform.errors import InvalidInputError
from flyteform_dataplane.kubernetes.profile import (
    Accelerators,
    Copilot,
    GracePeriods,
    LogLink,
    PodProfile,
    Spot,
)
from flyteform_dataplane.kubernetes.settings import read_profile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Name the file."""
    return tmp_path / "propeller.yaml"


@pytest.mark.parametrize(
    "text", ["plugins: {}", "plugins: {k8s: {}}", "plugins: {logs: {}, spark: {a: 1}}\npropeller: {}"]
)
def test_defaults_are_those_of_a_profile(file: Path, text: str) -> None:
    """They are Flyte's; sections of others do not matter."""
    file.write_text(text)
    assert read_profile(file) == PodProfile()


SETTINGS = """
plugins:
  k8s:
    inject-finalizer: true
    delete-resource-on-finalize: true
    default-annotations: {a: b}
    default-labels: {team: x}
    default-env-vars:
      - FLYTE_AWS_ENDPOINT: http://minio.flyte:9000
      - ATTEMPTS: 3
    default-env-vars-from-env: {HERE: PLACE, NOWHERE: NO_SUCH_VARIABLE}
    default-env-from-secrets: [keys]
    default-env-from-configmaps: [places]
    default-cpus: 100m
    default-memory: 100Mi
    default-tolerations: [{key: flyte, operator: Exists}]
    default-node-selector: {pool: tasks}
    default-affinity: {podAntiAffinity: {}}
    scheduler-name: volcano
    interruptible-tolerations: [{key: spot, operator: Exists}]
    interruptible-node-selector: {pool: spot}
    interruptible-node-selector-requirement: {key: spot, operator: In, values: ["true"]}
    non-interruptible-node-selector-requirement: {key: spot, operator: DoesNotExist}
    resource-tolerations:
      - nvidia.com/gpu: [{key: gpu, operator: Exists}]
    add-tolerations-for-extended-resources: [nvidia.com/gpu]
    co-pilot: {name: flyte-copilot-, image: "ours:1", cpu: 250m, start-timeout: 30s, timeout: 10m}
    create-container-error-grace-period: 1m30s
    create-container-config-error-grace-period: 5s
    image-pull-backoff-grace-period: 5m
    pod-pending-timeout: 2h
    image-pull-policy: Always
    gpu-resource-name: amd.com/gpu
    gpu-device-node-label: device
    gpu-partition-size-node-label: size
    gpu-unpartitioned-node-selector-requirement: {key: whole, operator: Exists}
    gpu-unpartitioned-toleration: {key: whole, operator: Exists}
    accelerator-devices: {a100: nvidia-a100}
    default-pod-security-context: {runAsUser: 1000}
    default-security-context: {readOnlyRootFilesystem: true}
    enable-host-networking-pod: true
    default-pod-dns-config: {options: []}
    default-pod-template-name: flyte-template
    default-pod-template-resync: 30s
    send-object-events: true
  logs:
    kubernetes-enabled: true
    kubernetes-url: https://dashboard
    cloudwatch-enabled: true
    cloudwatch-region: eu-west-1
    cloudwatch-log-group: /flyte
    stackdriver-enabled: true
    stackdriver-template-uri: https://stackdriver/{{ .podName }}
    templates:
      - {displayName: Mine, templateUris: ["https://mine/{{ .podName }}"], messageFormat: 0}
    dynamic-log-links:
      - vscode: {displayName: VSCode, templateUris: ["https://code/{{ .taskConfig.port }}"]}
"""


def test_every_setting_has_its_place(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By Flyte's names, also where charts write lists of mappings, and durations as Go does."""
    monkeypatch.setenv("PLACE", "there")
    file.write_text(SETTINGS)
    whole = {"key": "whole", "operator": "Exists"}
    watch = (
        "https://console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logEventViewer:group=/flyte;stream="
        "var.log.containers.{{ .podName }}_{{ .namespace }}_{{ .containerName }}-{{ .containerId }}.log"
    )
    assert read_profile(file) == PodProfile(
        labels={"team": "x"},
        annotations={"a": "b"},
        environment={"FLYTE_AWS_ENDPOINT": "http://minio.flyte:9000", "ATTEMPTS": "3", "HERE": "there"},
        env_from_secrets=("keys",),
        env_from_config_maps=("places",),
        cpu="100m",
        memory="100Mi",
        tolerations=({"key": "flyte", "operator": "Exists"},),
        resource_tolerations={"nvidia.com/gpu": ({"key": "gpu", "operator": "Exists"},)},
        add_tolerations_for_extended_resources=("nvidia.com/gpu",),
        node_selector={"pool": "tasks"},
        affinity={"podAntiAffinity": {}},
        scheduler="volcano",
        dns={"options": []},
        host_network=True,
        image_pull_policy="Always",
        pod_security={"runAsUser": 1000},
        container_security={"readOnlyRootFilesystem": True},
        default_pod_template_name="flyte-template",
        copilot=Copilot(image="ours:1", cpu="250m", timeout=timedelta(minutes=10)),
        log_links=(
            LogLink(
                "Kubernetes Logs",
                ("https://dashboard/#!/log/{{ .namespace }}/{{ .podName }}/pod?namespace={{ .namespace }}",),
            ),
            LogLink("Cloudwatch Logs", (watch,)),
            LogLink("Stackdriver Logs", ("https://stackdriver/{{ .podName }}",)),
            LogLink("Mine", ("https://mine/{{ .podName }}",)),
        ),
        dynamic_log_links={"vscode": LogLink("VSCode", ("https://code/{{ .taskConfig.port }}",))},
        delete_resource_on_finalize=True,
        inject_finalizer=True,
        accelerators=Accelerators("amd.com/gpu", "device", "size", {"a100": "nvidia-a100"}, whole, whole),
        spot=Spot(
            ({"key": "spot", "operator": "Exists"},),
            {"pool": "spot"},
            {"key": "spot", "operator": "In", "values": ["true"]},
            {"key": "spot", "operator": "DoesNotExist"},
        ),
        grace=GracePeriods(
            timedelta(minutes=5), timedelta(minutes=1, seconds=30), timedelta(seconds=5), timedelta(hours=2)
        ),
    )


def test_flytes_own_copier_is_not_ours(file: Path) -> None:
    """Its image has another program: raw containers are refused with a sentence, and not started with it."""
    file.write_text("plugins: {k8s: {co-pilot: {image: 'cr.flyte.org/flyteorg/flytecopilot:v1.16.8'}}}")
    assert read_profile(file).copilot.image == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plugins: {k8s: {default-cpu: 1}}", "plugins.k8s.default-cpu: there is no such setting"),
        ("plugins: {k8s: {default_cpus: 1}}", "plugins.k8s.default_cpus: there is no such setting"),
        ("plugins: {k8s: {default-cpus: much}}", "plugins.k8s.default-cpus: Value error, 'much' is no quantity"),
        ("plugins: {k8s: {pod-pending-timeout: soon}}", "plugins.k8s.pod-pending-timeout: Value error, soon"),
        ("plugins: {k8s: {default-env-vars: [1]}}", "plugins.k8s.default-env-vars: "),
        ("plugins: {logs: {templates: {}}}", "plugins.logs.templates: "),
        ("plugins: 1", "plugins: "),
    ],
)
def test_what_is_wrong_is_named(file: Path, text: str, said: str) -> None:
    """With its place in the file."""
    file.write_text(text)
    with pytest.raises(InvalidInputError) as caught:
        read_profile(file)
    assert said in caught.value.message
    assert str(file) in caught.value.message
