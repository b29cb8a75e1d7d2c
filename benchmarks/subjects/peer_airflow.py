"""The same tasks for Airflow: `python peer_airflow.py CHAIN ITEMS EXECUTIONS` prints seconds as JSON.

By `dag.test()`: in one process and without the scheduler, which is the fastest way that Airflow has.
"""

import json
import sys
import time

from airflow.sdk import dag, task


@task
def nap(x: int) -> int:
    """Take 10 ms, add one."""
    time.sleep(0.01)
    return x + 1


def chain(length: int) -> object:
    """Call it again and again, each time on the result before."""

    @dag(dag_id=f"chain{length}", schedule=None)
    def graph() -> None:
        x = 0
        for _ in range(length):
            x = nap(x)

    return graph()


def fan_out(count: int) -> object:
    """Map it."""

    @dag(dag_id="fan_out", schedule=None)
    def graph() -> None:
        nap.expand(x=list(range(count)))

    return graph()


def seconds(graph: object) -> float:
    """Return how long a run takes."""
    started = time.perf_counter()
    if graph.test().state != "success":
        raise SystemExit("it failed")
    return time.perf_counter() - started


if __name__ == "__main__":
    length, count, executions = map(int, sys.argv[1:])
    chained, mapped = seconds(chain(length)), seconds(fan_out(count))
    began = time.perf_counter()
    for _ in range(executions):
        seconds(chain(3))
    sys.__stdout__.write(json.dumps([chained, mapped, time.perf_counter() - began]) + "\n")
