"""Recordings of the stacks that the project ships: a cloud's program with the configuration of one of its stacks."""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from support.recording.graph import Graph, read_graph
from support.recording.recorder import Asked

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
_TESTS = ROOT / "tests"
# What programs that look at their cluster see instead of one.
_FACTS = _TESTS / "infra" / "facts.json"
_PREFIX = "flyteform-"
_PRELOADED = ("pulumi_kubernetes.core.v1", "pulumi_kubernetes.apps.v1", "flyteform_platform.config")


@dataclass(frozen=True)
class Stack:
    """A stack: the folder of its program, and the file of its configuration."""

    cloud: str
    name: str
    folder: Path
    file: Path

    @property
    def project(self) -> str:
        """The project's name, from its own file."""
        return str(yaml.safe_load((self.folder / "Pulumi.yaml").read_text())["name"])

    @property
    def settings(self) -> dict[str, Any]:
        """What the file says."""
        return dict(yaml.safe_load(self.file.read_text()).get("config", {}))


def shipped(cloud: str) -> list[str]:
    """Return the names of a cloud's stacks."""
    return sorted(each.name[7:-5] for each in _stacks_of(_folder(cloud)).glob("Pulumi.*.yaml"))


def clouds() -> list[str]:
    """Return the clouds that have stacks with clusters; this machine has none."""
    return sorted(each.name for each in (ROOT / "stacks").iterdir() if each.name != "local" and shipped(each.name))


def stack_of(cloud: str, name: str) -> Stack:
    """Return a stack that is shipped, or one of the tests' own programs."""
    folder = _folder(cloud)
    return Stack(cloud, name, folder, _stacks_of(folder) / f"Pulumi.{name}.yaml")


def _folder(cloud: str) -> Path:
    folder = ROOT / "infra" / cloud
    return folder if folder.is_dir() else _TESTS / "infra" / cloud


def _stacks_of(folder: Path) -> Path:
    project = yaml.safe_load((folder / "Pulumi.yaml").read_text())
    return (folder / str(project["stackConfigDir"])).resolve()


def _label(cloud: str, name: str, *, preview: bool) -> str:
    return f"{cloud}-{name}{'-preview' if preview else ''}"


class Recordings:
    """Makes recordings, each once for all processes of a test run that share the folder.

    Without `preload` a program imports what it uses by itself, as it does for its users.
    """

    def __init__(self, folder: Path, *, preload: bool = True) -> None:
        self._folder = folder
        self._preload = preload
        self._known: dict[str, Graph] = {}
        self._held: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)

    def shipped(self, cloud: str, name: str, *, preview: bool = False) -> Graph:
        """Record a stack that is shipped, after those that it refers to."""
        label = _label(cloud, name, preview=preview)
        if label not in self._known:
            file = self._folder / f"{label}.json"
            if not file.exists():
                with self._alone(cloud):
                    self._keep(cloud, name, preview=preview)
                    # Whoever has the SDK imported records everything, so that no other process imports it, too.
                    for each in shipped(cloud) if os.environ.get("PYTEST_XDIST_WORKER") else ():
                        self._keep(cloud, each, preview=False)
                        self._keep(cloud, each, preview=True)
            self._known[label] = read_graph(cloud, name, json.loads(file.read_text()))
        return self._known[label]

    def _keep(self, cloud: str, name: str, *, preview: bool) -> None:
        label = _label(cloud, name, preview=preview)
        file = self._folder / f"{label}.json"
        if not file.exists():
            document = self.record(stack_of(cloud, name), label, preview=preview).document
            partial = file.with_suffix(".partial")
            partial.write_text(json.dumps(document))
            partial.rename(file)

    def record(
        self,
        stack: Stack,
        label: str,
        *,
        preview: bool = False,
        changes: dict[str, Any] | None = None,
        environment: dict[str, str] | None = None,
    ) -> Graph:
        """Record any stack; `changes` replace keys of its configuration, as `flyteform-aws:platform`."""
        settings = {**stack.settings, **(changes or {})}
        config, secrets = _config(settings)
        output = self._folder / f"{label}.recorded"
        asked = Asked(
            folder=str(stack.folder),
            project=stack.project,
            stack=stack.name,
            output=str(output),
            preview=preview,
            config=config,
            secrets=secrets,
            references=self._references(settings),
            environment={"FLYTEFORM_CLUSTER_FACTS": str(_FACTS), **(environment or {})},
        )
        output.unlink(missing_ok=True)
        _HOST.run(stack.cloud, asked, preload=self._preload)
        log = Path(f"{output}.log").read_text()
        assert output.exists(), f"the recorder ended:\n{log}"
        graph = read_graph(stack.cloud, stack.name, json.loads(output.read_text()))
        if graph.failure:
            return read_graph(stack.cloud, stack.name, {**graph.document, "failure": f"{graph.failure}\n{log}"})
        return graph

    def _references(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Record the stacks that are named anywhere as `organization/flyteform-<cloud>/<stack>`."""
        found = {}
        for text in sorted(set(_texts(settings))):
            parts = text.split("/")
            if len(parts) == 3 and parts[0] == "organization" and parts[1].startswith(_PREFIX):
                cloud, name = parts[1].removeprefix(_PREFIX), parts[2]
                # Outputs of a stack that is there are known in a preview, too.
                found[text] = self.shipped(cloud, name, preview=False).check().document["outputs"]
        return found

    @contextmanager
    def _alone(self, label: str) -> Iterator[None]:
        """Be the only process that records a cloud; what a stack refers to is recorded in the same turn."""
        if label in self._held:
            yield
            return
        with (self._folder / f"{label}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._held.add(label)
            try:
                yield
            finally:
                self._held.remove(label)


class _Host:
    """At most one process per test process that has a cloud's SDK imported: they are large."""

    def __init__(self) -> None:
        self._cloud = ""
        self._process: subprocess.Popen[str] | None = None

    def run(self, cloud: str, asked: Asked, *, preload: bool) -> None:
        """Make a recording."""
        if self._process is None or self._cloud != cloud:
            self.close()
            self._cloud = cloud
            path = os.pathsep.join([str(_TESTS), os.environ.get("PYTHONPATH", "")])
            self._process = subprocess.Popen(
                [sys.executable, "-m", "support.recording.recorder", *(_preloaded(cloud) if preload else ())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": path},
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(asked)) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline(), "the recorder's host has ended"

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.communicate()
            self._process = None


_HOST = _Host()
atexit.register(_HOST.close)


def _preloaded(cloud: str) -> list[str]:
    return [*_PRELOADED, f"flyteform_{cloud}.program", *_used(cloud)]


def _used(cloud: str) -> list[str]:
    """Return the submodules of SDKs that a cloud's sources name: SDKs import them when they are first used."""
    found = set()
    for folder in (ROOT / "infra" / "platform", ROOT / "infra" / cloud):
        for path in folder.glob("flyteform_*/**/*.py"):
            text = path.read_text()
            for package, alias in re.findall(r"^import (pulumi_\w+)(?: as (\w+))?$", text, re.MULTILINE):
                found |= {f"{package}.{each}" for each in re.findall(rf"\b{alias or package}\.([a-z]\w+)\.", text)}
            for package, names in re.findall(r"^from (pulumi_[\w.]+) import ([\w, ]+)", text, re.MULTILINE):
                found |= {package, *(f"{package}.{each.split(' as ')[0].strip()}" for each in names.split(","))}
    return sorted(found)


def _config(settings: dict[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Return configuration as the engine hands it to programs, and the keys of secrets, which have made-up values."""
    config, secrets = {}, []
    for key, value in settings.items():
        if isinstance(value, dict) and set(value) == {"secure"}:
            config[key] = f"the-secret-of-{key.rpartition(':')[2]}"
            secrets.append(key)
        else:
            config[key] = value if isinstance(value, str) else json.dumps(value)
    return config, secrets


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for each in value.values():
                yield from _texts(each)
        case list():
            for each in value:
                yield from _texts(each)
