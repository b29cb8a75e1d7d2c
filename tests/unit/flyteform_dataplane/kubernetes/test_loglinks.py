"""Where people read what a pod prints."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyteform_dataplane.kubernetes.loglinks import log_links
from flyteform_dataplane.kubernetes.pods import pod_of
from flyteform_dataplane.kubernetes.profile import LogLink, PodProfile
from flyteform_dataplane.kubernetes.trimming import trimmed_pod
from support.pods import CREATED, Json, container_task, request

NOW = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
VSCODE = LogLink("VSCode", ("https://code.example.org:{{ .taskConfig.port }}/{{ .podName }}",))
PROFILE = PodProfile(dynamic_log_links={"vscode": VSCODE})


def links(profile: PodProfile, name: str = "flytesnacks/development/f1/n0/3/2", **config: str) -> list[str]:
    """Return what is told of a pod that runs, as it is kept."""
    task = container_task()
    task.id.project, task.id.domain, task.id.version = "of", "production", "v 1"
    task.config.update(config)
    pod: Json = pod_of(request(task, name=name), profile)
    pod["metadata"] |= {"uid": "u-1", "creationTimestamp": CREATED}
    pod["spec"] |= {"hostname": "host", "nodeName": "node"}
    primary = pod["spec"]["containers"][0]["name"]
    pod["status"] = {"containerStatuses": [{"name": primary, "containerID": "containerd://abc"}]}
    return log_links(trimmed_pod(pod), profile.log_links, NOW).splitlines()


VARIABLES = {
    "podName": "f1-n0-3-2",
    "podUID": "u-1",
    "namespace": "flytesnacks-development",
    "containerName": "f1-n0-3-2",
    "containerId": "abc",
    "logName": "f1-n0-3-2",
    "hostname": "host",
    "nodeName": "node",
    "podRFC3339StartTime": "2026-01-01T00:00:00Z",
    "podRFC3339FinishTime": "2026-01-01T00:01:00Z",
    "podUnixStartTime": "1767225600",
    "podUnixFinishTime": "1767225660",
    "executionProject": "flytesnacks",
    "executionDomain": "development",
    "executionName": "f1",
    "nodeID": "n0",
    "generatedName": "f1-n0-3-2",
    "taskRetryAttempt": "2",
    "taskID": "train",
    "taskVersion": "v 1",
    "taskProject": "of",
    "taskDomain": "production",
}


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("form", ["{{{{ .{} }}}}", "{{{{.{}}}}}", "{{{{ ${} }}}}"])
def test_flytes_variables(name: str, form: str) -> None:
    """In addresses and in names, in any case."""
    for written in (name, name.upper()):
        link = LogLink(form.format(written), (f"https://logs/{form.format(written)}",))
        expected = VARIABLES[name]
        assert links(replace(PROFILE, log_links=(link,))) == [f"{expected}\thttps://logs/{expected}"]


def test_names_are_not_those_of_labels() -> None:
    """A node's name may have characters that no label has."""
    link = LogLink("Logs", ("{{ .nodeID }}/{{ .executionName }}",))
    assert links(replace(PROFILE, log_links=(link,)), name="p/d/F_1/_n(0)/0") == ["Logs\t_n(0)/F_1"]


def test_what_is_no_variable_stays() -> None:
    """Nobody is told less than the template says."""
    link = LogLink("Logs", ("{{ .other }}", "{{ .taskConfig.port }}"))
    assert links(replace(PROFILE, log_links=(link,)), port="1") == [
        "Logs\t{{ .other }}",
        "Logs\t{{ .taskConfig.port }}",
    ]


def test_a_task_chooses_links() -> None:
    """By Flyte's setting, with its other settings in them; types that the cluster has not are nothing."""
    profile = replace(PROFILE, log_links=(LogLink("Logs", ("https://logs/{{ .podName }}",)),))
    plain = "Logs\thttps://logs/f1-n0-3-2"
    assert links(profile) == links(profile, link_type="other") == [plain]
    assert links(profile, link_type="other,vscode", port="8080") == [
        plain,
        "VSCode\thttps://code.example.org:8080/f1-n0-3-2",
    ]
    assert links(PROFILE, link_type="vscode", port="8080") == ["VSCode\thttps://code.example.org:8080/f1-n0-3-2"]


@pytest.mark.parametrize("port", ["javascript:alert(1)", "1\nLogs\thttps://evil", "\x00"])
def test_a_tasks_words_make_no_other_link(port: str) -> None:
    """Neither another line nor another kind of address."""
    profile = replace(PROFILE, dynamic_log_links={"x": LogLink("X", ("{{ .taskConfig.port }}",)), "vscode": VSCODE})
    (told,) = links(profile, link_type="x,vscode", port=port)
    assert told.startswith("VSCode\thttps://code.example.org:")


def test_a_pod_has_an_annotation_only_where_its_task_has_links() -> None:
    """There may be ten thousand."""
    profile = replace(PROFILE, log_links=(LogLink("Logs", ("https://logs/{{ .podName }}",)),))
    assert "flyteform.dev/log-links" not in pod_of(request(), profile)["metadata"]["annotations"]


@given(st.text() | st.recursive(st.none() | st.text(max_size=3), st.lists).map(json.dumps))
def test_an_annotation_that_somebody_wrote_breaks_nothing(text: str) -> None:
    """Whoever may change pods may write anything there."""
    pod = pod_of(request(), PROFILE)
    pod["metadata"]["annotations"]["flyteform.dev/log-links"] = text
    assert isinstance(log_links(pod, (LogLink("Logs", ("https://logs",)),), NOW), str)
