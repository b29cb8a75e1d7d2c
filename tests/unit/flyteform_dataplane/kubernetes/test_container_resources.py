"""What a pod's containers ask for and are held to: Flyte's rules of requests, limits and defaults."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flyteidl.admin.matchable_resource_pb2 import TaskResourceAttributes, TaskResourceSpec
from flyteidl.core.tasks_pb2 import K8sPod, TaskTemplate
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from flyteform_dataplane.errors import UserError
from flyteform_dataplane.kubernetes.pods import pod_of
from flyteform_dataplane.kubernetes.profile import Accelerators, PodProfile
from flyteform_dataplane.plugins.resources import parse_quantity
from support.pods import Json, container_task, request

PROFILE = PodProfile()
PLATFORM = TaskResourceAttributes(
    defaults=TaskResourceSpec(cpu="500m", memory="2Gi"),
    limits=TaskResourceSpec(cpu="4", memory="8Gi", gpu="1", ephemeral_storage="20Gi"),
)


def resources(task: TaskTemplate, template: Json | None = None, **fields: Any) -> dict[str, Json]:
    """Return those of each container of the task's pod."""
    pod = pod_of(request(task, **fields), PROFILE, template)
    return {container["name"]: container["resources"] for container in pod["spec"]["containers"]}


def of_command(
    requests: dict[str, str], limits: dict[str, str] | None = None, template: Json | None = None, **fields: Any
) -> Json:
    """Return those of the container that a task's command is."""
    (found,) = resources(container_task(requests, limits), template, **fields).values()
    return found


def pod_task(**containers: Json) -> TaskTemplate:
    """Return a task that brings a pod, whose containers have these resources; `main` is the primary one."""
    spec = {
        "containers": [{"name": name, "image": "i:1", "resources": amounts} for name, amounts in containers.items()]
    }
    task = TaskTemplate(
        type="sidecar", k8s_pod=K8sPod(pod_spec=ParseDict(spec, Struct()), primary_container_name="main")
    )
    task.id.name = "train"
    return task


def test_what_is_above_the_platforms_limit_is_brought_down_to_it() -> None:
    """Also what a node's overrides say, or what was registered when the limit was another."""
    found = of_command(
        {"CPU": "16", "MEMORY": "1Gi", "GPU": "8", "EPHEMERAL_STORAGE": "1Ti"}, {"MEMORY": "64Gi"}, platform=PLATFORM
    )
    assert found == {
        "requests": {"cpu": "4", "memory": "1Gi", "nvidia.com/gpu": "1", "ephemeral-storage": "20Gi"},
        "limits": {"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": "1", "ephemeral-storage": "20Gi"},
    }


def test_the_platforms_limit_of_gpus_is_for_the_clusters_own_resource() -> None:
    """Where nodes call their devices otherwise."""
    profile = replace(PROFILE, accelerators=Accelerators(resource="amd.com/gpu"))
    pod = pod_of(request(container_task({"GPU": "8"}), platform=PLATFORM), profile)
    assert pod["spec"]["containers"][0]["resources"]["limits"]["amd.com/gpu"] == "1"


def test_the_clusters_defaults_are_held_to_the_limit_too() -> None:
    """A profile may say more than the platform lets anybody have."""
    limits = TaskResourceAttributes(limits=TaskResourceSpec(cpu="250m", memory="512Mi"))
    assert of_command({}, platform=limits)["limits"] == {"cpu": "250m", "memory": "512Mi"}


@pytest.mark.parametrize("zero", ["0", "0m", "0.0", "0Gi"])
def test_zero_is_nothing(zero: str) -> None:
    """For Kubernetes a limit of zero is none: a task does not get out of its limits by it."""
    nothing = {"CPU": zero, "MEMORY": zero}
    defaults = {"cpu": "1", "memory": "1Gi"}
    assert of_command(nothing, nothing) == {"requests": defaults, "limits": defaults}
    assert of_command({"CPU": "2"}, nothing)["limits"] == {"cpu": "2", "memory": "1Gi"}
    found = resources(pod_task(main={"limits": {"memory": zero}}, beside={"limits": {"memory": zero, "cpu": "1"}}))
    assert found["main"]["limits"]["memory"] == "1Gi"
    assert found["beside"]["limits"] == {"cpu": "1", "memory": "1Gi"}


def test_all_containers_of_a_tasks_pod_are_held_to_the_limits() -> None:
    """All have defaults, as in Flyte: what has no limit would have all of its node."""
    found = resources(
        pod_task(main={"limits": {"memory": "100Gi"}}, beside={"requests": {"cpu": 16}, "limits": {"cpu": 32}}),
        platform=PLATFORM,
    )
    assert found["main"] == {
        "requests": {"memory": "8Gi", "cpu": "500m"}, "limits": {"memory": "8Gi", "cpu": "500m"},
    }  # fmt: skip
    assert found["beside"]["requests"] == found["beside"]["limits"] == {"cpu": "4", "memory": "2Gi"}
    assert resources(pod_task(main={}), platform=PLATFORM)["main"]["limits"] == {"cpu": "500m", "memory": "2Gi"}


def test_a_request_of_a_tasks_pod_is_not_above_its_limit() -> None:
    """Kubernetes would refuse the pod."""
    found = resources(pod_task(main={}, beside={"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}))
    assert found["beside"]["requests"]["memory"] == "1Gi"


def test_what_a_pod_asks_for_as_a_whole_is_held_to_the_limits() -> None:
    """Its containers have limits of their own beside that: not all clusters know the pod's."""
    task = pod_task(main={})
    task.k8s_pod.pod_spec.update({"resources": {"limits": {"cpu": "64"}}})
    spec = pod_of(request(task, platform=PLATFORM), PROFILE)["spec"]
    assert spec["resources"] == {"requests": {"cpu": "4"}, "limits": {"cpu": "4"}}
    assert spec["containers"][0]["resources"]["limits"] == {"cpu": "500m", "memory": "2Gi"}


def test_other_resources_of_a_tasks_pod_stay() -> None:
    """Devices by their own names, and claims of them."""
    given = {"limits": {"example.com/device": 2}, "claims": [{"name": "c"}]}
    found = resources(pod_task(main=given), platform=PLATFORM)["main"]
    assert found["requests"]["example.com/device"] == found["limits"]["example.com/device"] == "2"
    assert found["claims"] == [{"name": "c"}]


def test_what_is_no_quantity_is_the_tasks_fault() -> None:
    """The message has it."""
    for task in (container_task({"CPU": "much"}), pod_task(main={"limits": {"cpu": "much"}})):
        with pytest.raises(UserError, match="'much' is no quantity"):
            resources(task)


TEMPLATE = {
    "spec": {
        "containers": [
            {"name": "default", "resources": {"limits": {"memory": "3Gi", "cpu": "3"}}},
            {"name": "primary", "resources": {"requests": {"cpu": "2", "example.com/device": "1"}}},
        ]
    }
}


def test_a_template_says_what_a_task_leaves_open() -> None:
    """It goes before the cluster's defaults, and what the task says itself goes before it."""
    assert of_command({}, template=TEMPLATE) == {
        "requests": {"memory": "3Gi", "cpu": "2", "example.com/device": "1"},
        "limits": {"memory": "3Gi", "cpu": "3", "example.com/device": "1"},
    }
    assert of_command({"CPU": "500m"}, template=TEMPLATE)["limits"]["cpu"] == "500m"
    found = resources(pod_task(main={}, beside={}), TEMPLATE)
    assert (found["main"]["requests"]["cpu"], found["beside"]["requests"]["cpu"]) == ("2", "3")


AMOUNTS = st.sampled_from(["", "0", "100m", "1", "3.5", "64"])
SIDES = st.fixed_dictionaries({}, optional={"CPU": AMOUNTS, "MEMORY": AMOUNTS, "GPU": AMOUNTS})


@given(SIDES, SIDES, AMOUNTS)
def test_limits_hold_whatever_is_asked(requests: dict[str, str], limits: dict[str, str], most: str) -> None:
    """Every container has CPU and memory, no request above its limit, and none above the platform's."""
    spec = TaskResourceSpec(cpu=most, memory=most)
    found = of_command(requests, limits, platform=TaskResourceAttributes(limits=spec))
    for name in ("cpu", "memory"):
        request_, limit = (parse_quantity(found[side][name]) for side in ("requests", "limits"))
        assert 0 < request_ <= limit
        assert limit <= (parse_quantity(most or "0") or float("inf"))
