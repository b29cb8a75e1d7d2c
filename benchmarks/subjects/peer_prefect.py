"""The same tasks for Prefect: `python peer_prefect.py CHAIN ITEMS EXECUTIONS` prints seconds as JSON, a line per case.

Prefect runs tasks in threads of one process, so it has no process to start for each, as flyteform has. Its server,
which it starts itself, has its state in SQLite. Some flows at once and some items at once are what that server bears.
Tasks tell it of their states in the background, so a case has ended when it knows of all of them, as here.
"""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.task_runners import ThreadPoolTaskRunner

AT_ONCE = 50
FLOWS_AT_ONCE = 5


@task
def nap(x: int) -> int:
    """Take 10 ms, add one."""
    time.sleep(0.01)
    return x + 1


@flow
def chain(length: int) -> int:
    """Call it again and again, each time on the result before."""
    x = 0
    for _ in range(length):
        x = nap(x)
    return x


@flow(task_runner=ThreadPoolTaskRunner(max_workers=AT_ONCE))
def fan_out(count: int) -> list[int]:
    """Map it."""
    return [future.result() for future in nap.map(list(range(count)))]


def known() -> int:
    """Return how many task runs the server has as completed."""
    with get_client(sync_client=True) as client:
        states = {"task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
        return int(client._client.post("/task_runs/count", json=states).json())  # noqa: SLF001 - it has no call for it


def tell(case: str, tasks: int, work: Callable[..., object], *arguments: object) -> None:
    """Print how long a call takes that runs so many tasks, until the server knows of their ends."""
    before = known()
    started = time.perf_counter()
    work(*arguments)
    returned = time.perf_counter() - started
    while known() < before + tasks:
        time.sleep(0.02)
    print(json.dumps({"case": case, "seconds": time.perf_counter() - started, "returned": returned}), flush=True)


def many(executions: int) -> None:
    """Run that many chains of three, some at once."""
    with ThreadPoolExecutor(min(executions, FLOWS_AT_ONCE)) as pool:
        list(pool.map(chain, [3] * executions))


if __name__ == "__main__":
    length, count, executions = map(int, sys.argv[1:])
    chain(1)  # starts what has to be started once
    while not known():
        time.sleep(0.02)
    tell("chain", length, chain, length)
    tell("executions", 3 * executions, many, executions)
    tell("map", count, fan_out, count)
