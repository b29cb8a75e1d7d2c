"""The runner's settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from flyteform_dataplane.engine.graph import Deadlines
from flyteform_dataplane.plugins.registry import Registry, default_registry


@dataclass(frozen=True, slots=True)
class RunnerConfig:
    """How a data plane runs executions.

    `cluster` is the producer that events name. `commands` is how many commands of one execution are carried out at
    once. Who computes what others wait for says so every `cache_heartbeat`. A snapshot is taken when that many bytes
    of changes have been logged since the last one, or twice its size.
    Progress of arrays alone is told every `array_report_seconds`; `fold_seconds` is how long an observation that
    nothing waits for may wait for another, to share its write. Those who go `ahead` also begin what follows from
    attempts that have succeeded before the log has that, which it then has after as long a while. `console_url` is the
    address of the console, if there is one. Outputs over `output_bytes` are an error of the task.
    `deadlines` hold for all executions. With `finalize` executors keep nothing of an execution that is over.
    """

    cluster: str = "propeller"
    plugins: Registry = field(default_factory=default_registry)
    commands: int = 16
    cache_heartbeat: timedelta = timedelta(seconds=10)
    snapshot_bytes: int = 256 * 1024
    array_report_seconds: float = 0.25
    fold_seconds: float = 0.02
    ahead: bool = False
    console_url: str = ""
    output_bytes: int = 20 * 1024 * 1024
    cached_bytes: int = 64 * 1024 * 1024
    deadlines: Deadlines = field(default_factory=Deadlines)
    finalize: bool = False
