"""What others put into a cluster, on a real API server: operators neither stop nor believe it, and say what is so."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from flyteidl.core.execution_pb2 import WorkflowExecution

from support.kubernetes import kubectl, quota
from support.operators import NAMESPACE, Operators, chain, install, uninstall, wide
from support.platform import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flyteform.proto.flyteform.v1.link_pb2 import Lease
    from support.leasing import LeasingControl
    from support.simulated import Simulated

logger = logging.getLogger(__name__)

SUCCEEDED, FAILED, ABORTED = WorkflowExecution.SUCCEEDED, WorkflowExecution.FAILED, WorkflowExecution.ABORTED
PATIENCE = 120.0
FINALIZER = "flyte.lyft.com/flyteform"
KEY = "flyteform.dev/execution"


@pytest.fixture
def operators(cluster: Simulated, control: LeasingControl, tmp_path: Path) -> Iterator[Operators]:
    """Return what starts operators; nothing of theirs is left afterwards."""
    running = Operators(tmp_path, control.address, kubeconfig=cluster.kubeconfig)
    yield running
    running.stop()
    logger.info("\n".join((*running.said(), kubectl("get", "pods,flyteworkflows", "--all-namespaces"))))
    kubectl("delete", "podtemplates", "--all", "--all-namespaces")
    subprocess.run(["kubectl", "create", "namespace", NAMESPACE], check=False, capture_output=True)
    uninstall()
    kubectl("wait", f"namespace/{NAMESPACE}", "--for=delete", "--timeout=60s")
    install()


def workflow(name: str, *, reference: str = "", **metadata: Any) -> dict[str, Any]:
    """Return a FlyteWorkflow that nobody leased."""
    return {
        "apiVersion": "flyte.lyft.com/v1alpha1",
        "kind": "FlyteWorkflow",
        "metadata": {"name": name, "namespace": NAMESPACE, **metadata},
        "executionId": {"project": "p", "domain": "d", "name": name},
        "leaseReference": reference,
        "acceptedAt": "2026-01-01T00:00:00Z",
    }


def run_to(operators: Operators, control: LeasingControl, name: str) -> Any:
    """Have an execution run, and return what waits for its end."""
    control.offer([operators.lease(chain(2), name)])
    return control.until_ended([name], PATIENCE)


@pytest.mark.timeout(400)
async def test_foreign_and_broken_resources_stop_nobody(operators: Operators, control: LeasingControl) -> None:
    """Neither while an operator runs nor when it begins; broken ones can be deleted, foreign ones stay as they are."""
    over = {"termination-status": "terminated", "shard-key": "0"}
    foreign = [
        workflow("foreign"),
        workflow("half", annotations={KEY: "p"}, labels={"shard-key": "0"}),
        workflow("another", annotations={KEY: "p/d/first", "flyteform.dev/abort": "not mine to say"}),
        workflow("when", annotations={KEY: "p/d/when", "flyteform.dev/finished-at": "soon"}, labels=over),
    ]
    operators.start()
    for each in (*foreign, *broken(operators)):
        kubectl("apply", "-f", "-", given=each)
    await run_to(operators, control, "first")
    operators.kill(operators.running[0])
    operators.start(identity="operator-1")
    await run_to(operators, control, "second")
    assert control.phases == {"first": SUCCEEDED, "second": SUCCEEDED}
    # Those that claim to be executions were revoked when the operator began, as the control plane has none of them.
    await asyncio.to_thread(
        wait_until, lambda: left() == {each["metadata"]["name"] for each in foreign}, seconds=60, what="they are gone"
    )
    for each in broken(operators):
        kubectl("apply", "-f", "-", given=each)
        name = each["metadata"]["name"]
        await asyncio.to_thread(kubectl, "delete", "flyteworkflow", name, f"--namespace={NAMESPACE}", "--timeout=60s")
    await run_to(operators, control, "third")


def broken(operators: Operators) -> list[dict[str, Any]]:
    """Return some that say which executions they are, and have no log that can be read."""
    missing = f"{operators.objects}/metadata/leases/p/d/gone.pb"
    ours = {"finalizers": [FINALIZER], "labels": {"shard-key": "1"}}
    return [
        workflow("gone", reference=missing, annotations={KEY: "p/d/gone"}, **ours),
        workflow("outside", reference="file:///etc/hostname", annotations={KEY: "p/d/outside"}, **ours),
        workflow("shard", annotations={KEY: "p/d/shard"}, labels={"shard-key": "many"}),
    ]


def left() -> set[str]:
    """Return the names of the FlyteWorkflows that are no executions of these tests."""
    found = json.loads(kubectl("get", "flyteworkflows", f"--namespace={NAMESPACE}", "--output=json"))["items"]
    return {each["metadata"]["name"] for each in found} - {"first", "second"}


@pytest.mark.timeout(400)
async def test_a_name_that_is_taken_is_waited_for(operators: Operators, control: LeasingControl) -> None:
    """Somebody's FlyteWorkflow where an execution's has to be: it is not taken over before that is gone."""
    kubectl("apply", "-f", "-", given=workflow("taken"))
    operators.start()
    control.offer([operators.lease(chain(1), "taken")])
    log = operators.log(1)
    await asyncio.to_thread(
        wait_until, lambda: "somebody else has made" in log.read_text(), seconds=PATIENCE, what="it says so"
    )
    assert control.ends == {}
    kubectl("delete", "flyteworkflow", "taken", f"--namespace={NAMESPACE}")
    await control.until_ended(["taken"], PATIENCE)
    assert control.phases == {"taken": SUCCEEDED}


@pytest.mark.timeout(400)
async def test_a_quota_is_waited_for(operators: Operators, control: LeasingControl) -> None:
    """Six pods where two may be at a time: all run in the end, and nothing fails."""
    with quota("two", NAMESPACE, {"pods": "2"}):
        operators.start()
        control.offer([operators.lease(wide(6), "six")])
        await control.until_ended(["six"], PATIENCE)
    assert control.phases == {"six": SUCCEEDED}
    assert "exceeded quota" in operators.log(1).read_text()


def with_template(operators: Operators, name: str, template: str) -> Lease:
    """Return an execution whose task names a pod template."""
    lease = operators.lease(chain(1), name)
    for task in lease.closure.tasks:
        task.template.metadata.pod_template_name = template
    return lease


@pytest.mark.timeout(400)
async def test_what_is_refused_fails_with_the_reason(operators: Operators, control: LeasingControl) -> None:
    """A template that is not there, one that pod security refuses, and a policy that admits no such pod."""
    kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    privileged = {"hostNetwork": True, "containers": [{"name": "primary", "image": "i"}]}
    template = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "bad", "namespace": NAMESPACE}}
    kubectl("apply", "-f", "-", given={**template, "template": {"spec": privileged}})
    for each in policy():
        kubectl("apply", "-f", "-", given=each)
    await asyncio.to_thread(wait_until, denies, seconds=60, what="the policy holds")
    operators.start()
    control.offer(
        [
            with_template(operators, "none", "nowhere"),
            with_template(operators, "bad", "bad"),
            operators.lease(chain(1), "denied"),
            operators.lease(chain(1), "good"),
        ]
    )
    await control.until_ended(["none", "bad", "denied", "good"], PATIENCE)
    assert control.phases == {"none": FAILED, "bad": FAILED, "denied": FAILED, "good": SUCCEEDED}
    assert "names the pod template 'nowhere'" in control.failures["none"]
    assert "violates PodSecurity" in control.failures["bad"]
    assert "not on my watch" in control.failures["denied"]
    kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", "nothing-denied")


def policy() -> list[dict[str, Any]]:
    """Return what admits no pod whose name begins with `denied`."""
    about = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": "nothing-denied"}}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    judged = [{"expression": "!object.metadata.name.startsWith('denied')", "message": "not on my watch"}]
    spec = {"matchConstraints": {"resourceRules": [rule]}, "validations": judged}
    bound = {"policyName": "nothing-denied", "validationActions": ["Deny"]}
    return [
        {**about, "kind": "ValidatingAdmissionPolicy", "spec": spec},
        {**about, "kind": "ValidatingAdmissionPolicyBinding", "spec": bound},
    ]


def denies() -> bool:
    """Whether the policy holds by now."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "denied", "namespace": "default"}}
    given = json.dumps({**pod, "spec": {"containers": [{"name": "a", "image": "a"}]}})
    command = ("kubectl", "create", "--dry-run=server", "--filename=-")
    return "not on my watch" in subprocess.run(command, input=given, capture_output=True, text=True, check=False).stderr


@pytest.mark.timeout(400)
async def test_a_namespace_that_is_deleted_goes(operators: Operators, control: LeasingControl) -> None:
    """With executions that run in it: they end, the control plane knows, and nothing of ours keeps the namespace."""
    operators.start()
    lease = operators.lease(wide(2), "cut")
    lease.spec.annotations.values["simulated/seconds"] = "3600s"
    control.offer([lease])
    running = ("get", "pods", f"--namespace={NAMESPACE}", "--field-selector=status.phase=Running", "--output=name")
    await asyncio.to_thread(wait_until, lambda: kubectl(*running), seconds=PATIENCE, what="a pod runs")
    await asyncio.to_thread(kubectl, "delete", "namespace", NAMESPACE, "--timeout=100s")
    await control.until_ended(["cut"], PATIENCE)
    assert control.phases["cut"] in (ABORTED, FAILED)
    kubectl("create", "namespace", NAMESPACE)
    await run_to(operators, control, "later")
    assert control.phases["later"] == SUCCEEDED
