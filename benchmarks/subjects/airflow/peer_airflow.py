"""The same tasks for Airflow: prints seconds as JSON, a line per case; how much work is in PEER_COUNTS.

By `dag.test()`: in one process and without the scheduler, which is the fastest way that Airflow has.
"""

import json
import os
import sys
import time

from airflow.sdk import dag, task


@task
def nap(x: int) -> int:
    """Take 10 ms, add one."""
    time.sleep(0.01)
    return x + 1


LENGTH, ITEMS, EXECUTIONS = map(int, os.environ["PEER_COUNTS"].split())


def _chain(length: int) -> None:
    x = 0
    for _ in range(length):
        x = nap(x)


@dag(schedule=None)
def chain() -> None:
    """Call it again and again, each time on the result before."""
    _chain(LENGTH)


@dag(schedule=None)
def three() -> None:
    """Call it three times."""
    _chain(3)


@dag(schedule=None)
def fan_out() -> None:
    """Map it."""
    nap.expand(x=list(range(ITEMS)))


CHAIN, THREE, FAN_OUT = chain(), three(), fan_out()


def seconds(graph: object) -> float:
    """Return how long a run takes."""
    started = time.perf_counter()
    if graph.test().state != "success":
        raise SystemExit("it failed")
    return time.perf_counter() - started


def tell(case: str, taken: float) -> None:
    """Print how long a case took; what the tasks print goes elsewhere."""
    sys.__stdout__.write(json.dumps({"case": case, "seconds": taken}) + "\n")
    sys.__stdout__.flush()


if __name__ == "__main__":
    tell("chain", seconds(CHAIN))
    tell("map", seconds(FAN_OUT))
    began = time.perf_counter()
    for _ in range(EXECUTIONS):
        seconds(THREE)
    tell("executions", time.perf_counter() - began)
