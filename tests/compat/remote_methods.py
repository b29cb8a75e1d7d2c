"""Runs inside the stock client's environment: calls FlyteRemote's methods and its raw client's, prints what it saw.

Usage: remote_methods.py ENDPOINT SCRATCH_FOLDER

The last line of its output is one JSON object: a section per topic, and `rpcs`, the methods of the contract that the
client called and that were answered.
"""

from __future__ import annotations

import contextlib
import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from flytekit import LaunchPlan
from flytekit.configuration import Config, FastSerializationSettings, ImageConfig, PlatformConfig, SerializationSettings
from flytekit.core.options import Options
from flytekit.exceptions.user import FlyteEntityAlreadyExistsException, FlyteEntityNotExistException
from flytekit.models.admin.common import Sort
from flytekit.models.common import Annotations, Labels, NamedEntityIdentifier, RawOutputDataConfig
from flytekit.models.core.identifier import Identifier, ResourceType
from flytekit.models.filters import Equal
from flytekit.models.matchable_resource import ClusterResourceAttributes, MatchingAttributes
from flytekit.models.named_entity import NamedEntityMetadata, NamedEntityState
from flytekit.models.project import Project
from flytekit.remote import FlyteRemote
from flytekit.remote.remote import MOST_RECENT_FIRST
from flytekit.types.file import FlyteFile

WORKFLOWS = Path(__file__).with_name("workflows")
sys.path.insert(0, str(WORKFLOWS))

import plain  # noqa: E402 - found by the line above

PROJECT, DOMAIN, VERSION = "flytesnacks", "development", "v1"
PATIENCE = {"timeout": timedelta(seconds=60), "poll_interval": timedelta(milliseconds=100)}


def record_calls(client: Any) -> set[str]:
    """Note the name of every method that was answered, on all of the client's stubs."""
    answered: set[str] = set()

    def wrapped(name: str, call: Any) -> Any:
        def calling(*arguments: Any, **options: Any) -> Any:
            answer = call(*arguments, **options)
            answered.add(name)
            return answer

        return calling

    for stub in (client._stub, client._dataproxy_stub, client._signal):  # noqa: SLF001 - no public way to its stubs
        for name, call in list(vars(stub).items()):
            setattr(stub, name, wrapped(name, call))
    return answered


def register(remote: FlyteRemote) -> dict[str, Any]:
    """Register by every method; each entity twice, as people do."""
    script = {"source_path": str(WORKFLOWS), "module_name": "plain", "version": VERSION}
    workflow = remote.register_script(plain.plain, **script)
    again = remote.register_script(plain.plain, **script)
    _, bundle = remote.fast_package(WORKFLOWS)
    settings = SerializationSettings(
        image_config=ImageConfig.auto_default_image(),
        project=PROJECT,
        domain=DOMAIN,
        version=VERSION,
        fast_serialization_settings=FastSerializationSettings(
            enabled=True, destination_dir=".", distribution_location=bundle
        ),
    )
    task = remote.register_task(plain.greeting, settings, VERSION)
    fast = remote.fast_register_workflow(plain.long, settings, VERSION)
    fragile = remote.register_workflow(plain.fragile, settings, VERSION)
    remote.register_script(plain.passing, **script)
    scheduled = remote.register_launch_plan(plain.every_day, VERSION, serialization_settings=settings)
    fixed = LaunchPlan.get_or_create(plain.plain, name="sevens", fixed_inputs={"n": 7})
    sevens = remote.register_launch_plan(fixed, VERSION, serialization_settings=settings)
    return {
        "workflow": [workflow.id.name, workflow.id.version, again.id == workflow.id],
        "task": task.id.name,
        "fast": fast.id.name,
        "fragile": fragile.id.name,
        "launch_plans": [scheduled.id.name, sevens.id.name],
    }


def fetch(remote: FlyteRemote) -> dict[str, Any]:
    """Fetch entities with and without a version, lazily, and ones that are not there."""
    workflow = remote.fetch_workflow(name="plain.plain")
    missing = None
    try:
        remote.fetch_task(name="plain.nothing", version="v0")
    except FlyteEntityNotExistException:
        missing = "FlyteEntityNotExistException"
    active_before = remote.fetch_active_launchplan(name="every_day")
    plan = remote.fetch_launch_plan(name="every_day", version="latest")
    remote.activate_launchplan(plan.id)
    active = remote.fetch_active_launchplan(name="every_day")
    listed = remote.client.list_active_launch_plans_paginated(PROJECT, DOMAIN)[0]
    remote.deactivate_launchplan(plan.id)
    return {
        "task": sorted(remote.fetch_task(name="plain.greeting").interface.inputs),
        "task_lazy": remote.fetch_task_lazy(name="plain.greeting").entity.id.version,
        "workflow_nodes": sorted(node.id for node in workflow.flyte_nodes),
        "workflow_lazy": remote.fetch_workflow_lazy(name="plain.plain").entity.id.version,
        "launch_plan_inputs": sorted(remote.fetch_launch_plan(name="sevens").interface.inputs),
        "missing": missing,
        "active": [active_before is None, active.id.version, remote.fetch_active_launchplan(name="every_day") is None],
        "active_listed": [found.id.name for found in listed],
        "tasks_by_version": sorted(found.id.name for found in remote.list_tasks_by_version(VERSION)),
        "projects": sorted(project.id for project in remote.list_projects()),
        "domains": sorted(domain.id for domain in remote.get_domains()),
        "console": [remote.generate_console_url(workflow), remote.generate_console_url(plan)],
    }


def execute(remote: FlyteRemote, scratch: Path) -> dict[str, Any]:
    """Execute a workflow with all options, a task, a launch plan, local entities; look at what comes back."""
    options = Options(
        labels=Labels({"team": "forecast"}),
        annotations=Annotations({"why": "compatibility"}),
        raw_output_data_config=RawOutputDataConfig((scratch / "raw").as_uri()),
        max_parallelism=3,
    )
    whole = remote.execute(
        remote.fetch_workflow(name="plain.plain", version=VERSION),
        inputs={"n": 4, "text": "said"},
        execution_name="whole",
        options=options,
        overwrite_cache=True,
        interruptible=True,
        envs={"GREETING": "hi"},
        tags=["one", "two"],
    )
    task = remote.execute(
        remote.fetch_task(name="plain.greeting"), inputs={"name": "Ada"}, envs={"GREETING": "hi"}, wait=False
    )
    plan = remote.execute(remote.fetch_launch_plan(name="sevens"), inputs={}, execution_name_prefix="sevens")
    local = remote.execute(plain.greeting, inputs={"name": "Bob"}, version=VERSION)
    local_plan = remote.execute(plain.plain, inputs={"n": 1}, version=VERSION)
    given = scratch / "given.txt"
    given.write_text("given")
    passing = remote.execute(
        remote.fetch_workflow(name="plain.passing"),
        inputs={"file": FlyteFile(str(given))},
        type_hints={"file": FlyteFile},
    )
    again = remote.execute(
        remote.fetch_workflow(name="plain.plain", version=VERSION), inputs={"n": 4}, execution_name="whole"
    )
    ended = [remote.wait(each, **PATIENCE) for each in (whole, task, plan, local, local_plan, passing)]
    whole = remote.sync(remote.fetch_execution(name="whole"), sync_nodes=True)
    spec = whole.spec
    nodes = whole.node_executions
    return {
        "phases": [each.closure.phase for each in ended],
        "same_name": again.id == whole.id,
        "outputs": [whole.outputs.get("o0", int), whole.outputs.get("o1", int)],
        "file": Path(whole.outputs["o2"].download()).read_text(),
        "raw": sorted({path.name for path in (scratch / "raw").rglob("said.txt")}),
        "inputs": {"n": whole.inputs["n"], "text": whole.inputs["text"]},
        "labels": spec.labels.values,
        "annotations": spec.annotations.values,
        "max_parallelism": spec.max_parallelism,
        "flags": [spec.overwrite_cache, spec.interruptible, sorted(spec.tags), spec.envs.envs],
        "task_output": [ended[1].outputs["o0"], ended[3].outputs["o0"]],
        "files": [ended[5].outputs["o0"], ended[5].outputs["o1"]],
        "own_folders": ended[5].outputs["o2"] != ended[5].outputs["o3"],
        "fixed": ended[2].outputs["o0"],
        "prefix": plan.id.name.startswith("sevens-"),
        "nodes": {name: [node.closure.phase, len(node.task_executions)] for name, node in sorted(nodes.items())},
        "node_outputs": nodes["n0"].outputs["o0"],
        "mapped": nodes["n1"].outputs.get("o0", list[int]),
        "task_execution": nodes["n3"].task_executions[0].closure.phase,
        "url": remote.generate_console_url(whole),
    }


def look(remote: FlyteRemote, scratch: Path) -> dict[str, Any]:
    """Read data by flyte:// URLs and signed URLs, lists, spans."""
    whole = remote.sync(remote.fetch_execution(name="whole"), sync_nodes=True)
    base = f"flyte://v1/{PROJECT}/{DOMAIN}/whole"
    remote.download(remote.get(f"{base}/n3/o"), str(scratch / "download"))
    client = remote.client
    deck = client.get_download_artifact_signed_url("n0", PROJECT, DOMAIN, "whole")
    node, task = whole.node_executions["n0"], whole.node_executions["n0"].task_executions[0]
    page, token = client.list_executions_paginated(PROJECT, DOMAIN, limit=1, sort_by=MOST_RECENT_FIRST)
    following, _ = client.list_executions_paginated(PROJECT, DOMAIN, limit=1, token=token, sort_by=MOST_RECENT_FIRST)
    upload = scratch / "upload.txt"
    upload.write_text("up")
    uploaded = remote.upload_file(upload, filename_root="root")[1]
    location = client.get_download_signed_url(uploaded)
    span = remote.get_execution_metrics(whole.id, depth=10)
    return {
        "input": remote.get(f"{base}/n0/i").get("n", int),
        "output": remote.get(f"{base}/n0/o").get("o0", int),
        "attempt_output": remote.get(f"{base}/n0/0/o").get("o0", int),
        "single": remote.get(f"{base}/n0/o/o0").scalar.primitive.integer,
        "deck": b"number 4" in remote.get(f"{base}/n0/d"),
        "nothing": remote.get(f"{base}/n9/o"),
        "downloaded": sorted(path.name for path in (scratch / "download").rglob("*") if path.is_file()),
        "deck_link": deck.pre_signed_urls.signed_url[0].startswith("http://127.0.0.1"),
        "location": location.signed_url.startswith("http://127.0.0.1"),
        "node": [client.get_node_execution(node.id).closure.phase, client.get_task_execution(task.id).closure.phase],
        "nodes_of_task": len(client.list_node_executions_for_task_paginated(task.id)[0]),
        "recent": sorted(found.id.name for found in remote.recent_executions(filters=[Equal("phase", "SUCCEEDED")]))[
            -1:
        ],
        "by_plan": [found.id.name for found in remote.recent_executions(filters=[Equal("launch_plan.name", "sevens")])],
        "pages": [len(page), token, page[0].id != following[0].id],
        "uploaded": Path(uploaded.removeprefix("file://")).read_text(),
        "uploaded_again": remote.upload_file(upload, filename_root="root")[1] == uploaded,
        "span": [span._span.workflow_id.name, len(span._span.spans) > 0],  # noqa: SLF001 - it only prints itself
        "version": client.get_control_plane_version() != "",
    }


def end(remote: FlyteRemote, scratch: Path) -> dict[str, Any]:
    """Terminate, relaunch, recover; run a backfill."""
    running = remote.execute(
        remote.fetch_workflow(name="plain.long"), inputs={"seconds": 100}, execution_name="stopped"
    )
    remote.terminate(running, "enough")
    stopped = remote.wait(running, **PATIENCE)
    path = scratch / "said.txt"
    broken = remote.execute(
        remote.fetch_workflow(name="plain.fragile"), inputs={"path": str(path)}, execution_name="broken"
    )
    broken = remote.wait(broken, **PATIENCE)
    path.write_text("mended")
    recovered = remote.client.recover_execution(broken.id, "recovered")
    relaunched = remote.client.relaunch_execution(broken.id, "relaunched")
    recovered, relaunched = (
        remote.wait(remote.fetch_execution(name=each.name), **PATIENCE) for each in (recovered, relaunched)
    )
    first, last = datetime(2026, 1, 1), datetime(2026, 1, 3)  # noqa: DTZ001 - croniter's, without a zone
    backfill = remote.launch_backfill(PROJECT, DOMAIN, first, last, "every_day", VERSION, execute=False)
    started = remote.launch_backfill(PROJECT, DOMAIN, first, last, "every_day", VERSION, "filled")
    return {
        "stopped": [stopped.closure.phase, stopped.closure.abort_metadata.cause],
        "broken": [broken.closure.phase, broken.error.kind, "FileNotFoundError" in broken.error.message],
        "recovered": [recovered.closure.phase, recovered.spec.metadata.mode, recovered.outputs["o1"]],
        "relaunched": [relaunched.closure.phase, relaunched.spec.metadata.mode, relaunched.outputs["o1"]],
        "backfill": [len(backfill.flyte_nodes), started.spec.launch_plan.name == backfill.id.name],
    }


def manage(remote: FlyteRemote) -> dict[str, Any]:
    """Use the client's own methods: projects, names, attributes, pages."""
    client = remote.client
    client.register_project(Project("forecast", "Forecast", "of the weather"))
    again = None
    try:
        client.register_project(Project("forecast", "Forecast", "of the weather"))
    except FlyteEntityAlreadyExistsException:
        again = "FlyteEntityAlreadyExistsException"
    client.update_project(Project.archived_project("forecast"))
    resources = MatchingAttributes(cluster_resource_attributes=ClusterResourceAttributes({"quota": "4"}))
    client.update_project_domain_attributes(PROJECT, DOMAIN, resources)
    client.update_workflow_attributes(PROJECT, DOMAIN, "plain.plain", resources)
    name = NamedEntityIdentifier(PROJECT, DOMAIN, "plain.plain")
    client.update_named_entity(
        ResourceType.WORKFLOW, name, NamedEntityMetadata("runs for real", NamedEntityState.ACTIVE)
    )
    of_domain = client.get_project_domain_attributes(PROJECT, DOMAIN, 1).attributes.matching_attributes
    of_workflow = client.get_workflow_attributes(PROJECT, DOMAIN, "plain.plain", 1).attributes.matching_attributes
    by_name = Sort("name", Sort.Direction.ASCENDING)
    plans, _ = client.list_launch_plans_paginated(
        NamedEntityIdentifier(PROJECT, DOMAIN), filters=[Equal("name", "sevens")]
    )
    return {
        "again": again,
        "archived_hidden": "forecast" not in [project.id for project in remote.list_projects()],
        "attributes": [dict(each.cluster_resource_attributes.attributes) for each in (of_domain, of_workflow)],
        "matchable": len(client.list_matchable_attributes(1).configurations),
        "task_ids": [found.name for found in client.list_task_ids_paginated(PROJECT, DOMAIN, sort_by=by_name)[0]],
        "workflow_ids": [
            found.name for found in client.list_workflow_ids_paginated(PROJECT, DOMAIN, limit=2, sort_by=by_name)[0]
        ],
        "launch_plan_ids": "sevens"
        in [found.name for found in client.list_launch_plan_ids_paginated(PROJECT, DOMAIN)[0]],
        "launch_plans": [plan.id.name for plan in plans],
        "workflow": client.get_workflow(Identifier(2, PROJECT, DOMAIN, "plain.plain", VERSION)).id.name,
    }


def main() -> None:
    """Go through all topics in order: the later use what the earlier made."""
    endpoint, scratch = sys.argv[1], Path(sys.argv[2])
    config = Config(platform=PlatformConfig(endpoint=endpoint, insecure=True))
    remote = FlyteRemote(config, default_project=PROJECT, default_domain=DOMAIN)
    rpcs = record_calls(remote.client)
    with contextlib.redirect_stdout(sys.stderr):
        seen = {
            "register": register(remote),
            "fetch": fetch(remote),
            "execute": execute(remote, scratch),
            "look": look(remote, scratch),
            "end": end(remote, scratch),
            "manage": manage(remote),
        }
    sys.stdout.write(json.dumps({**seen, "rpcs": sorted(rpcs)}) + "\n")


if __name__ == "__main__":
    main()
