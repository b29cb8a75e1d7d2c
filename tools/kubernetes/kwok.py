"""Nodes that are not there: kwok moves their pods through their phases, so that only the control plane costs anything.

A pod runs as long as its annotation `simulated/seconds` says, with the exit code that `simulated/exit-code` says;
without them it succeeds at once.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from tools.kubernetes.builds import KWOK, built
from tools.kubernetes.control_plane import answers
from tools.kubernetes.processes import entered
from tools.kubernetes.settings import ClusterError

if TYPE_CHECKING:
    from pathlib import Path

    from tools.kubernetes.processes import Processes
    from tools.kubernetes.settings import Cluster

NAME = "kwok"
_FAKE = "kwok.x-k8s.io/node"
_STAGES = "kwok.x-k8s.io/v1alpha1"
_PARALLEL = 16
_PODS_PER_NODE = "100000"


def start_nodes(cluster: Cluster, processes: Processes, kube: Path, count: int) -> None:
    """Start `count` nodes and wait until they are Ready."""
    config = cluster.run / "kwok.json"
    # Several documents of YAML, of which JSON is a part.
    config.write_text("\n---\n".join(json.dumps(document) for document in (_configuration(), *_stages())))
    arguments = [
        f"--kubeconfig={cluster.kubeconfig}",
        f"--config={config}",
        "--manage-all-nodes=false",
        f"--manage-nodes-with-annotation-selector={_FAKE}=fake",
        "--node-lease-duration-seconds=40",
        "--cidr=10.200.0.0/16",
        "--node-ip=10.199.0.1",
    ]
    processes.start(NAME, [built(KWOK), *arguments])
    for number in range(count):
        _create(cluster, kube, _node(f"fake-{number}"))
    ready = ("wait", "nodes", "--all", "--for=condition=Ready", "--timeout=1s")
    processes.wait("the simulated nodes are Ready", 60, lambda: answers(cluster, kube, *ready), by=NAME)


def _create(cluster: Cluster, kube: Path, document: dict[str, Any]) -> None:
    command = entered(cluster, [kube, "kubectl", f"--kubeconfig={cluster.kubeconfig}", "apply", "-f", "-"])
    ended = subprocess.run(
        [*map(str, command)], input=json.dumps(document), capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise ClusterError(f"a simulated node could not be made: {ended.stderr.strip()}")


def _node(name: str) -> dict[str, Any]:
    room = {"cpu": "100000", "memory": "1000Ti", "pods": _PODS_PER_NODE}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": {_FAKE: "fake"}, "labels": {"kubernetes.io/hostname": name}},
        "status": {"allocatable": room, "capacity": room, "phase": "Running"},
    }


def _configuration() -> dict[str, Any]:
    # All of them are named: those that are not would be zero.
    options = dict.fromkeys(("podPlayStageParallelism", "nodePlayStageParallelism", "nodeLeaseParallelism"), _PARALLEL)
    return {"apiVersion": "config.kwok.x-k8s.io/v1alpha1", "kind": "KwokConfiguration", "options": options}


def _stages() -> list[dict[str, Any]]:
    there = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
    bound = {"key": ".spec.nodeName", "operator": "Exists"}
    leaving = {"key": ".metadata.deletionTimestamp", "operator": "Exists"}
    lasting = {"durationMilliseconds": 0, "durationFrom": {"expressionFrom": _annotation("seconds")}}
    good = {"key": _annotation("exit-code"), "operator": "DoesNotExist"}
    bad = {"key": _annotation("exit-code"), "operator": "Exists"}
    unready = {"key": _READY, "operator": "NotIn", "values": ["True"]}
    node = _stage("node-ready", [unready], {"statusTemplate": _NODE_READY})
    node["spec"]["resourceRef"]["kind"] = "Node"
    return [
        node,
        _stage("pod-run", [there, bound, _phase("Pending")], {"statusTemplate": _RUNNING}),
        _stage("pod-succeed", [there, _phase("Running"), good], {"statusTemplate": _ended("Succeeded", "0")}, lasting),
        _stage("pod-fail", [there, _phase("Running"), bad], {"statusTemplate": _ended("Failed", _EXIT_CODE)}, lasting),
        _stage("pod-delete", [leaving], {"finalizers": {"empty": True}, "delete": True}),
    ]


def _annotation(name: str) -> str:
    return f'.metadata.annotations["simulated/{name}"]'


def _phase(name: str) -> dict[str, Any]:
    return {"key": ".status.phase", "operator": "In", "values": [name]}


def _stage(
    name: str, when: list[dict[str, Any]], then: dict[str, Any], delay: dict[str, Any] | None = None
) -> dict[str, Any]:
    spec = {"resourceRef": {"apiGroup": "v1", "kind": "Pod"}, "selector": {"matchExpressions": when}, "next": then}
    if delay is not None:
        spec["delay"] = delay
    return {"apiVersion": _STAGES, "kind": "Stage", "metadata": {"name": name}, "spec": spec}


_READY = '.status.conditions.[] | select( .type == "Ready" ) | .status'
_NODE_READY = """
{{ $now := Now }}
conditions:
- type: Ready
  status: "True"
  reason: Simulated
  message: it is not there
  lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $now | Quote }}
"""
_EXIT_CODE = '{{ index .metadata.annotations "simulated/exit-code" }}'
_RUNNING = """
{{ $now := Now }}
phase: Running
startTime: {{ $now | Quote }}
podIP: 10.200.0.1
conditions:
- {type: Initialized, status: "True", lastTransitionTime: {{ $now | Quote }}}
- {type: Ready, status: "True", lastTransitionTime: {{ $now | Quote }}}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  ready: true
  restartCount: 0
  state: {running: {startedAt: {{ $now | Quote }}}}
{{ end }}
"""


def _ended(phase: str, code: str) -> str:
    return f"""
{{{{ $now := Now }}}}
{{{{ $pod := . }}}}
phase: {phase}
conditions:
- {{type: Ready, status: "False", reason: PodCompleted, lastTransitionTime: {{{{ $now | Quote }}}}}}
containerStatuses:
{{{{ range .spec.containers }}}}
- name: {{{{ .name | Quote }}}}
  image: {{{{ .image | Quote }}}}
  imageID: ""
  ready: false
  restartCount: 0
  state:
    terminated:
      exitCode: {code.replace(" .metadata", " $pod.metadata")}
      reason: Completed
      startedAt: {{{{ $now | Quote }}}}
      finishedAt: {{{{ $now | Quote }}}}
{{{{ end }}}}
"""
