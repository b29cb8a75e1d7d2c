"""An asynchronous and a synchronous connector, as their authors write them; `pyflyte serve connector` serves them.

Jobs are files below JOBS_FOLDER, so that they outlive the connector, and a test can look and decide.
"""
# ruff: noqa: ARG002 - the signatures are the stock client's

import json
import os
from dataclasses import dataclass
from pathlib import Path

from flyteidl.core.execution_pb2 import TaskExecution, TaskLog
from flytekit import workflow
from flytekit.core.base_task import PythonTask
from flytekit.core.interface import Interface
from flytekit.extend.backend.base_connector import (
    AsyncConnectorBase,
    AsyncConnectorExecutorMixin,
    ConnectorRegistry,
    Resource,
    ResourceMeta,
    SyncConnectorBase,
    SyncConnectorExecutorMixin,
)


@dataclass
class JobMeta(ResourceMeta):
    job: str


class JobConnector(AsyncConnectorBase):
    name = "Job Connector"

    def __init__(self):
        super().__init__(task_type_name="test_job", metadata_type=JobMeta)

    def create(self, task_template, inputs=None, output_prefix="", task_execution_metadata=None, **kwargs):
        identifier = task_execution_metadata.task_execution_id
        execution = identifier.node_execution_id.execution_id.name
        job = Path(os.environ["JOBS_FOLDER"]) / f"{execution}-{identifier.retry_attempt}"
        n = inputs.literals["n"].scalar.primitive.integer
        with job.open("a") as file:
            file.write(json.dumps({"n": n, "custom": dict(task_template.custom)}) + "\n")
        return JobMeta(str(job))

    def get(self, resource_meta, **kwargs):
        job = Path(resource_meta.job)
        n = json.loads(job.read_text().splitlines()[0])["n"]
        links = [TaskLog(uri=f"https://jobs.example.com/{job.name}", name="Job")]
        if n < 0:
            phase = TaskExecution.RETRYABLE_FAILED if n == -2 and job.name.endswith("-0") else TaskExecution.FAILED
            return Resource(phase=phase, message=f"{n} is below zero", log_links=links)
        if not job.with_suffix(".released").exists():
            return Resource(phase=TaskExecution.RUNNING, message="at work", log_links=links)
        return Resource(phase=TaskExecution.SUCCEEDED, outputs={"o0": n * 2}, log_links=links)

    def delete(self, resource_meta, **kwargs):
        Path(resource_meta.job).with_suffix(".deleted").touch()


class SumConnector(SyncConnectorBase):
    name = "Sum Connector"

    def __init__(self):
        super().__init__(task_type_name="test_sum")

    def do(self, task_template, output_prefix, inputs=None, **kwargs):
        n = inputs.literals["n"].scalar.primitive.integer
        if n > 100:
            raise ValueError(f"{n} is too much")
        return Resource(phase=TaskExecution.SUCCEEDED, outputs={"o0": n + 1})


ConnectorRegistry.register(JobConnector())
ConnectorRegistry.register(SumConnector())


class JobTask(AsyncConnectorExecutorMixin, PythonTask):
    def __init__(self, name, **kwargs):
        interface = Interface(inputs={"n": int}, outputs={"o0": int})
        super().__init__(task_type="test_job", name=name, task_config=None, interface=interface, **kwargs)

    def get_custom(self, settings):
        return {"where": "elsewhere"}


class SumTask(SyncConnectorExecutorMixin, PythonTask):
    def __init__(self, name, **kwargs):
        interface = Interface(inputs={"n": int}, outputs={"o0": int})
        super().__init__(task_type="test_sum", name=name, task_config=None, interface=interface, **kwargs)


double = JobTask(name="double")
increment = SumTask(name="increment")


@workflow
def doubled(n: int) -> int:
    return increment(n=double(n=n))
