"""The same tasks for Prefect: `python peer_prefect.py CHAIN ITEMS EXECUTIONS` prints seconds as JSON.

Prefect runs tasks in threads of one process, so it has no process to start for each, as flyteform has.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from prefect import flow, task


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


@flow
def fan_out(count: int) -> list[int]:
    """Map it."""
    return [future.result() for future in nap.map(list(range(count)))]


def seconds(work: object, *arguments: object) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - started


def many(executions: int) -> None:
    """Run that many chains of three at once."""
    with ThreadPoolExecutor(executions) as pool:
        list(pool.map(chain, [3] * executions))


if __name__ == "__main__":
    length, count, executions = map(int, sys.argv[1:])
    chain(1)  # starts what has to be started once
    print(json.dumps([seconds(chain, length), seconds(fan_out, count), seconds(many, executions)]))
