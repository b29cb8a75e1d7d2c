"""The entry points of tasks: what is imported for each before any attempt, and how an attempt runs it."""
# ruff: noqa: PTH103, PTH109, PTH111, PTH119, PTH208 - pathlib is several times slower

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXEC = "exec"
_COMMAND_NOT_EXECUTABLE = 126
_FLYTEKIT_COMMANDS = {"pyflyte-execute": "execute_task_cmd", "pyflyte-map-execute": "map_execute_task_cmd"}


def preload(entry: str) -> str:
    """Import what attempts will need; return why they can't be forked from here, or nothing."""
    try:
        if entry == "flyteform":
            importlib.import_module("flyteform.run").preload()
        elif entry == "flytekit":
            os.environ["FLYTE_INTERNAL_EXECUTION_ID"] = "template"  # its loggers ask whether this is a container
            importlib.import_module("flytekit.bin.entrypoint")
    except Exception as error:  # noqa: BLE001 - whatever an import raises, attempts can still start cold
        return f"{sys.executable} can't import {entry}: {type(error).__name__}: {error}"
    tasks = "/proc/self/task"
    threads = len(os.listdir(tasks)) if os.path.isdir(tasks) else threading.active_count()  # noqa: PTH112 - as above
    return "" if threads == 1 else f"importing {entry} left {threads} threads"


def rehearse(entry: str) -> None:
    """Go through what an attempt will do, where its library knows how; whatever goes wrong, attempts are no worse."""
    if entry == "flyteform":
        with contextlib.suppress(BaseException):
            getattr(importlib.import_module("flyteform.run"), "rehearse", bool)()


def _run_program(argv: Sequence[str]) -> None:
    """Replace this process by the program."""
    try:
        os.execve(argv[0], list(argv), dict(os.environ))  # noqa: S606 - the registered command is what shall run
    except OSError as error:
        print(f"{argv[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201 - this is the attempt's log
        os._exit(_COMMAND_NOT_EXECUTABLE)


def _run_flyteform(_: Sequence[str]) -> None:
    """Run `flyteform-execute`."""
    sys.exit(importlib.import_module("flyteform.run").main())


def _run_flytekit(argv: Sequence[str]) -> None:
    """Run `pyflyte-execute`, `pyflyte-map-execute` or `pyflyte-fast-execute` around one of them."""
    asyncio = importlib.import_module("asyncio")
    asyncio.set_event_loop(asyncio.new_event_loop())  # the one that an import made is shared with every other attempt
    entrypoint = importlib.import_module("flytekit.bin.entrypoint")
    # Its own generator names working directories and raw data: left as it was forked, attempts would share them.
    importlib.import_module("flytekit.interfaces.random").random.seed()
    # Files that clients uploaded have file:// URIs here, which flytekit would take for paths, and so for missing.
    importlib.import_module("flytekit.core.data_persistence").FileAccessProvider.is_remote = staticmethod(_has_scheme)
    importlib.import_module("flytekit").FlyteContextManager.initialize()  # reads its settings from the environment
    command = list(argv)
    if os.path.basename(command[0]) == "pyflyte-fast-execute":
        command = _unpack(entrypoint, command[1:])
    name = os.path.basename(command[0])
    if name not in _FLYTEKIT_COMMANDS:
        os.execvp(command[0], command)  # noqa: S606 - the registered command is what shall run
    getattr(entrypoint, _FLYTEKIT_COMMANDS[name]).main(args=command[1:], prog_name=name)


def _has_scheme(path: Any) -> bool:
    return "://" in os.fspath(path)


def _unpack(entrypoint: Any, arguments: list[str]) -> list[str]:
    """Fetch the code, make it importable and return the command that wants it.

    The entry point itself starts a second interpreter here, because its own could have imported older code of the
    user; a template has imported none.
    """
    given = entrypoint.fast_execute_task_cmd.make_context("pyflyte-fast-execute", arguments).params
    distribution, directory = given["additional_distribution"], given["dest_dir"] or os.getcwd()
    command: list[str] = []
    for argument in given["task_execute_cmd"]:
        if argument == "--resolver" and distribution:
            command += ["--dynamic-addl-distro", distribution, "--dynamic-dest-dir", directory]
        command.append(argument)
    if distribution:
        os.makedirs(directory, exist_ok=True)
        entrypoint._download_distribution(distribution, directory)  # noqa: SLF001 - its name for the public function
    path = os.path.realpath(os.path.expanduser(directory))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), path)))
    sys.path.insert(0, path)
    return command


ENTRIES: dict[str, Callable[[Sequence[str]], None]] = {
    EXEC: _run_program,
    "flyteform": _run_flyteform,
    "flytekit": _run_flytekit,
}
