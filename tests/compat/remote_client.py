"""Runs inside the stock client's environment: drives a platform through FlyteRemote, prints what it saw as JSON.

Usage: remote_client.py ENDPOINT EXECUTION_ID
"""

import json
import sys
from datetime import timedelta

from flytekit.configuration import Config, PlatformConfig
from flytekit.remote import FlyteRemote


def main() -> None:
    """Fetch, wait, sync nodes, read outputs; then launch the launch plan and wait for it."""
    endpoint, name = sys.argv[1:]
    config = Config(platform=PlatformConfig(endpoint=endpoint, insecure=True))
    remote = FlyteRemote(config, default_project="flytesnacks", default_domain="development")
    execution = remote.fetch_execution(name=name)
    patience = {"timeout": timedelta(seconds=90), "poll_interval": timedelta(milliseconds=200)}
    execution = remote.wait(execution, sync_nodes=True, **patience)
    summary = execution.outputs.get("o0", dict)
    plan = remote.fetch_launch_plan(name="fives")
    launched = remote.execute(plan, inputs={}, wait=False)
    launched = remote.wait(launched, **patience)
    seen = {
        "phase": execution.closure.phase,
        "outputs": {"total": summary["total"], "text": summary["text"]},
        "nodes": {
            node_id: {"phase": node.closure.phase, "attempts": len(node.task_executions)}
            for node_id, node in execution.node_executions.items()
        },
        "first_node_outputs": execution.node_executions["n0"].outputs.get("o0", list[int]),
        "launched_total": launched.outputs.get("o0", dict)["total"],
        "recent": [found.id.name for found in remote.recent_executions(limit=10)],
    }
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
