"""FlyteRemote and its raw client, stock flytekit 1.16.31: every method that calls the control plane, by its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support import stock

if TYPE_CHECKING:
    from support.platform import Platform

# The methods that flytekit/clients/raw.py can call; those of signals are called where gates are.
RPCS = frozenset(
    """
    CreateTask ListTaskIds ListTasks GetTask CreateWorkflow ListWorkflowIds ListWorkflows GetWorkflow
    CreateLaunchPlan GetLaunchPlan GetActiveLaunchPlan UpdateLaunchPlan ListLaunchPlanIds ListLaunchPlans
    ListActiveLaunchPlans UpdateNamedEntity CreateExecution RecoverExecution GetExecution GetExecutionData
    GetExecutionMetrics ListExecutions TerminateExecution RelaunchExecution GetNodeExecution GetNodeExecutionData
    ListNodeExecutions ListNodeExecutionsForTask GetTaskExecution GetTaskExecutionData ListTaskExecutions
    ListProjects RegisterProject UpdateProject UpdateProjectDomainAttributes UpdateWorkflowAttributes
    GetProjectDomainAttributes GetWorkflowAttributes ListMatchableAttributes CreateUploadLocation
    CreateDownloadLocation CreateDownloadLink GetData GetDomains GetVersion
    """.split()  # noqa: SIM905 - read by people, and thrice as long otherwise
)


@pytest.fixture(scope="module")
def seen(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Give what the client saw on its way through all topics."""
    scratch = tmp_path_factory.mktemp("remote")
    return stock.seen(
        "remote_methods.py", platform.grpc, str(scratch), home=platform.home, endpoint=platform.grpc
    )  # fmt: skip


def test_every_method_as_a_stock_client_sees_it(seen: dict[str, Any], platform: Platform) -> None:
    """Registering, fetching, executing, reading, ending and managing by FlyteRemote give what they give with Flyte."""
    _registered(seen["register"])
    _fetched(seen["fetch"], platform.grpc)
    _executed(seen["execute"])
    _looked(seen["look"])
    _ended(seen["end"])
    _managed(seen["manage"])
    assert set(seen["rpcs"]) >= RPCS


def _registered(seen: dict[str, Any]) -> None:
    assert seen["workflow"] == ["plain.plain", "v1", True]
    assert [seen["task"], seen["fast"], seen["fragile"]] == ["plain.greeting", "plain.long", "plain.fragile"]
    assert seen["launch_plans"] == ["every_day", "sevens"]


def _fetched(seen: dict[str, Any], endpoint: str) -> None:
    assert seen["task"] == ["name"]
    assert seen["task_lazy"] == seen["workflow_lazy"] == "v1"
    assert seen["workflow_nodes"] == ["n0", "n1", "n2", "n3"]
    assert seen["launch_plan_inputs"] == ["n", "text"]
    assert seen["missing"] == "FlyteEntityNotExistException"
    assert seen["active"] == [True, "v1", True]
    assert "every_day" in seen["active_listed"]
    assert {"plain.double", "plain.greeting", "plain.write"} <= set(seen["tasks_by_version"])
    assert "flytesnacks" in seen["projects"]
    assert seen["domains"] == ["development", "production", "staging"]
    base = f"http://{endpoint}/console/projects/flytesnacks/domains/development"
    assert seen["console"] == [f"{base}/workflow/plain.plain/version/v1", f"{base}/launch_plan/every_day/version/v1"]


def _executed(seen: dict[str, Any]) -> None:
    assert seen["phases"] == [4] * 6
    assert seen["same_name"]
    assert seen["outputs"] == [4, 12]
    assert seen["file"] == "said"
    assert seen["raw"] == ["said.txt"]
    assert seen["inputs"] == {"n": 4, "text": "said"}
    assert seen["labels"] == {"team": "forecast"}
    assert seen["annotations"] == {"why": "compatibility"}
    assert seen["max_parallelism"] == 3
    assert seen["flags"] == [True, True, ["one", "two"], {"GREETING": "hi"}]
    assert seen["task_output"] == ["hi Ada", "nothing for Bob"]
    assert seen["files"] == ["given", "passed"]  # uploaded by the client, and made by another task
    assert seen["own_folders"]
    assert seen["fixed"] == 7
    assert seen["prefix"]
    assert [seen["nodes"][name] for name in ("n0", "n1", "n2", "n3")] == [[3, 1]] * 4
    assert seen["node_outputs"] == 4
    assert seen["mapped"] == [2, 4, 6]
    assert seen["task_execution"] == 3


def _looked(seen: dict[str, Any]) -> None:
    assert [seen[name] for name in ("input", "output", "attempt_output", "single")] == [4, 4, 4, 4]
    assert seen["deck"]
    assert seen["nothing"] is None
    assert seen["downloaded"] == ["said.txt"]
    assert seen["deck_link"]
    assert seen["location"]
    assert seen["node"] == [3, 3]
    assert seen["nodes_of_task"] == 0
    assert seen["recent"]
    assert seen["by_plan"]
    assert all(name.startswith("sevens-") for name in seen["by_plan"])
    assert seen["pages"] == [1, "1", True]
    assert [seen["uploaded"], seen["uploaded_again"]] == ["up", True]
    assert seen["span"] == ["whole", True]
    assert seen["version"]


def _ended(seen: dict[str, Any]) -> None:
    assert seen["stopped"] == [7, "enough"]
    assert seen["broken"] == [6, 1, True]  # FAILED, by the user's code
    assert seen["recovered"] == [4, 5, "mended"]  # SUCCEEDED, mode RECOVERED
    assert seen["relaunched"] == [4, 3, "mended"]  # SUCCEEDED, mode RELAUNCH
    assert seen["backfill"] == [2, True]


def _managed(seen: dict[str, Any]) -> None:
    assert seen["again"] == "FlyteEntityAlreadyExistsException"
    assert seen["archived_hidden"]
    assert seen["attributes"] == [{"quota": "4"}, {"quota": "4"}]
    assert seen["matchable"] >= 2
    assert seen["task_ids"] == sorted(seen["task_ids"])
    assert "plain.greeting" in seen["task_ids"]
    assert len(seen["workflow_ids"]) == 2
    assert seen["launch_plan_ids"]
    assert seen["launch_plans"] == ["sevens"]
    assert seen["workflow"] == "plain.plain"
