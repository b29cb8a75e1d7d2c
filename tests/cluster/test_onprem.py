"""infra/onprem's program brought up by Pulumi's protocol against a real API server with real pods.

The engine is the tests' own; what it runs is the program as users run it, with work of theirs in it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

import pytest
from flyteidl.admin import execution_pb2
from flyteidl.core import execution_pb2 as phases
from flyteidl.core import identifier_pb2

from flyteform.client.admin import connect
from flyteform.client.config import ClientConfig
from flyteform.client.login import ClientSecretLogin
from flyteform.types import to_literal
from support.kubernetes import kubectl
from support.onprem import OURS, Door, Site, door, engine, import_images, left_behind, site, user_secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flyteform.client.admin import AdminClient, ExecutionId

logger = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def place() -> Iterator[Site]:
    """Run what a site has, with the image of the checkout on its node."""
    import_images()
    with site() as made:
        yield made


async def _phase(client: AdminClient, execution: ExecutionId) -> int:
    return (await client.get_execution(execution)).closure.phase


async def run_workflow(folder: Path, entry: Door, version: str, name: str) -> dict[str, Any]:
    """Launch what the program declared, wait for its end, and return its outputs."""
    secret = folder / "user.secret"
    secret.write_text(user_secret())
    config = ClientConfig(entry.grpc, insecure=True, http=entry.http, login=ClientSecretLogin("flyteform", secret))
    async with connect(config) as client:
        plan = identifier_pb2.Identifier(
            resource_type=identifier_pb2.LAUNCH_PLAN,
            project="flytesnacks",
            domain="development",
            name="arithmetic.total",
            version=version,
        )
        request = execution_pb2.ExecutionCreateRequest(project="flytesnacks", domain="development", name=name)
        request.spec.launch_plan.CopyFrom(plan)
        request.inputs.literals["x"].CopyFrom(to_literal(7, int))
        execution = await client.create_execution(request)
        deadline = time.monotonic() + 180
        while (phase := await _phase(client, execution)) < phases.WorkflowExecution.SUCCEEDED:
            assert time.monotonic() < deadline, phases.WorkflowExecution.Phase.Name(phase)
            await asyncio.sleep(1)
        found = await client.get_execution(execution)
        assert phase == phases.WorkflowExecution.SUCCEEDED, found.closure.error.message
        data = await client.get_execution_data(execution)
        return {key: each.scalar.primitive.integer for key, each in data.full_outputs.literals.items()}


@pytest.mark.timeout(900)
async def test_platform_and_work(tmp_path: Path, place: Site) -> None:
    """One up makes the platform and registers the work, which runs in pods; again is empty; destroy leaves nothing."""
    async with door() as entry:
        stack = engine(tmp_path, place, entry)
        began = time.monotonic()
        try:
            made = (await stack.up()).check()
            logger.info("the platform is up after %.0f s", time.monotonic() - began)
            outputs = await run_workflow(tmp_path, entry, made.outputs["version"], "first")
            assert outputs == {"o0": 21}
            again = (await stack.up()).check()
            assert again.operations() == {}
        except BaseException:
            tell()
            raise
        (await stack.destroy()).check()
        assert left_behind() == []


def tell() -> None:
    """Show what the platform's pods said."""
    for namespace in OURS:
        logger.warning("%s", kubectl("get", "pods,jobs", f"-n{namespace}", "-owide", "--ignore-not-found"))
        for name in kubectl("get", "pods", f"-n{namespace}", "--output=name").split():
            words = (f"-n{namespace}", "--all-containers", "--tail=60", "--prefix")
            logger.warning("%s", kubectl("logs", name, *words) if name else "")
        logger.warning("%s", kubectl("get", "events", f"-n{namespace}", "--sort-by=.lastTimestamp"))
