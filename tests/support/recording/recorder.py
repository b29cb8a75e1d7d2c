"""The process that programs are recorded in: it imports a cloud's SDK once, and each recording is a fork of it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import grpc
from pulumi.runtime import config, settings
from pulumi.runtime.proto import engine_pb2_grpc, resource_pb2_grpc
from pulumi.runtime.stack import run_in_stack

from support.recording import strict
from support.recording.monitor import Recorder

_OPTIONS = [("grpc.max_receive_message_length", 1 << 28), ("grpc.max_send_message_length", 1 << 28)]


@dataclass(frozen=True)
class Asked:
    """One recording: a program's folder, its configuration, and the outputs of the stacks that it refers to."""

    folder: str
    project: str
    stack: str
    output: str
    preview: bool = False
    config: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    references: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


def record(asked: Asked) -> dict[str, Any]:
    """Run the program to its end; return the recording, with what went wrong as `failure`."""
    recorder = Recorder(asked)
    server = grpc.server(ThreadPoolExecutor(8), options=_OPTIONS)
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(recorder, server)
    engine_pb2_grpc.add_EngineServicer_to_server(recorder, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    settings.configure(
        settings.Settings(
            project=asked.project,
            stack=asked.stack,
            monitor=address,
            engine=address,
            parallel=64,
            dry_run=asked.preview,
            organization="organization",
        )
    )
    config.set_all_config(asked.config, asked.secrets)
    strict.watch_types()
    try:
        _run(Path(asked.folder))
    except BaseException:  # noqa: BLE001 - whatever it is, it is this program's end
        recorder.document["failure"] = traceback.format_exc()
    finally:
        server.stop(None)
    return recorder.document


def _run(folder: Path) -> None:
    sys.path.insert(0, str(folder))
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    def run() -> None:
        runpy.run_path(str(folder / "__main__.py"), run_name="__main__")

    loop.run_until_complete(run_in_stack(run))


def serve() -> None:
    """Record one program after another, each in a fork of this process, which has imported what programs need."""
    for module in sys.argv[1:]:
        # What is wrong with it is the program's error, said where it is recorded.
        with contextlib.suppress(Exception):
            # SDKs load a module when something of it is asked for.
            getattr(importlib.import_module(module), "_utilities", None)
    for line in sys.stdin:
        asked = Asked(**json.loads(line))
        pid = os.fork()
        if pid == 0:
            _become(asked)
        os.waitpid(pid, 0)
        sys.stdout.write("\n")
        sys.stdout.flush()


def _become(asked: Asked) -> NoReturn:
    os.environ.update(asked.environment)
    with Path(f"{asked.output}.log").open("wb") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    document = record(asked)
    Path(asked.output).write_text(json.dumps(document))
    os._exit(0)


if __name__ == "__main__":
    serve()
