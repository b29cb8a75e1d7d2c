"""The same tasks for Dagster: `python peer_dagster.py CHAIN ITEMS EXECUTIONS` prints seconds as JSON, a line per case.

With its default executor, which starts a process for each op.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from dagster import (
    DagsterInstance,
    DynamicOut,
    DynamicOutput,
    OpExecutionContext,
    execute_job,
    job,
    op,
    reconstructable,
)


@op
def nap(x: int = 0) -> int:
    """Take 10 ms, add one."""
    time.sleep(0.01)
    return x + 1


@op(out=DynamicOut(int), config_schema=int)
def spread(context: OpExecutionContext) -> Iterator[DynamicOutput[int]]:
    """Give as many items as the configuration says."""
    for index in range(context.op_config):
        yield DynamicOutput(index, mapping_key=str(index))


@op
def gather(xs: list[int]) -> int:
    """Count."""
    return len(xs)


def _chain(length: int) -> None:
    x = nap()
    for _ in range(length - 1):
        x = nap(x)


@job
def chain() -> None:
    """Ten in a row: the count does not change what one takes."""
    _chain(10)


@job
def three() -> None:
    """Three in a row."""
    _chain(3)


@job
def fan_out() -> None:
    """Map it."""
    gather(spread().map(nap).collect())


def seconds(instance: DagsterInstance, name: str, config: object = None) -> float:
    """Return how long a run takes."""
    started = time.perf_counter()
    result = execute_job(reconstructable(globals()[name]), instance=instance, run_config=config or {})
    if not result.success:
        raise SystemExit("it failed")
    return time.perf_counter() - started


def tell(case: str, taken: float) -> None:
    """Print how long a case took."""
    print(json.dumps({"case": case, "seconds": taken}), flush=True)


if __name__ == "__main__":
    _, count, executions = map(int, sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        instance = DagsterInstance.local_temp(folder)
        tell("chain", seconds(instance, "chain"))
        began = time.perf_counter()
        with ThreadPoolExecutor(executions) as pool:
            list(pool.map(lambda _: seconds(instance, "three"), range(executions)))
        tell("executions", time.perf_counter() - began)
        tell("map", seconds(instance, "fan_out", {"ops": {"spread": {"config": count}}}))
