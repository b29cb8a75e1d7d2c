"""Runs executions: the engine's decisions made durable, its commands carried out, its events reported."""

from flyteform_dataplane.runner.config import RunnerConfig
from flyteform_dataplane.runner.runner import Runner

__all__ = ["Runner", "RunnerConfig"]
