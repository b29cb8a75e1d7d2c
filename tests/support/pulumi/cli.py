"""The real CLI of Pulumi behind the same face as the tests' own engine."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from support.pulumi.steps import Message, Result, Step

_VERBS = {"create-replacement": "replace", "read": "same", "refresh": "same", "delete-replaced": "delete"}
_PROJECT = """name: program
runtime:
  name: python
  options:
    virtualenv: {environment}
plugins:
  providers:
    - name: flyteform
      path: {binaries}
    - name: flyteform-embedded
      path: {binaries}
"""


@dataclass
class Cli:
    """One stack in a backend of its own."""

    folder: Path
    config: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    async def preview(self) -> Result:
        """Say what `up` would do."""
        return await self._run("preview", "--diff")

    async def up(self) -> Result:
        """Bring the stack to what the program says."""
        return await self._run("up", "--yes", "--skip-preview")

    async def refresh(self) -> Result:
        """Take over into the state what there really is."""
        return await self._run("refresh", "--yes", "--skip-preview")

    async def destroy(self) -> Result:
        """Delete all resources."""
        return await self._run("destroy", "--yes", "--skip-preview")

    async def exported(self) -> str:
        """Return the state as a text."""
        return (await self._pulumi("stack", "export"))[1]

    async def _run(self, *words: str) -> Result:
        await self._prepare()
        events = self.folder / "events.json"
        events.unlink(missing_ok=True)
        code, output = await self._pulumi(*words, "--event-log", str(events), "--non-interactive")
        result = Result()
        for line in events.read_text().splitlines() if events.is_file() else ():
            _take(json.loads(line), result)
        if code and not result.errors:
            result.errors["cli"] = output
        shown = (await self._pulumi("stack", "output", "--json"))[1]
        result.outputs = json.loads(shown) if shown.startswith("{") else {}
        return result

    async def _prepare(self) -> None:
        if not (self.folder / "Pulumi.yaml").is_file():
            binaries = Path(sys.executable).parent
            text = _PROJECT.format(environment=binaries.parent, binaries=binaries)
            (self.folder / "Pulumi.yaml").write_text(text)
            (self.folder / "backend").mkdir()
            await self._pulumi("stack", "init", "test")
        for key, value in self.config.items():
            await self._pulumi("config", "set", key, value)

    async def _pulumi(self, *words: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            "pulumi",
            *words,
            cwd=self.folder,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "PULUMI_BACKEND_URL": f"file://{self.folder / 'backend'}",
                "PULUMI_CONFIG_PASSPHRASE": "tests",
                "PULUMI_STACK": "test",
                "PULUMI_SKIP_UPDATE_CHECK": "1",
                "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1",
                "PULUMI_DISABLE_REGISTRY_RESOLVE": "1",
                **self.environment,
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()


def _take(event: dict[str, dict[str, object]], result: Result) -> None:
    """Read one event of the engine's log."""
    if done := event.get("resOutputsEvent"):
        _take_step(done, result)
    elif failed := event.get("resOpFailedEvent"):
        urn = str(dict(failed["metadata"])["urn"])  # type: ignore[call-overload]
        result.errors.setdefault(urn, "failed")
    elif said := event.get("diagnosticEvent"):
        severity, text, urn = str(said.get("severity")), str(said.get("message")), str(said.get("urn") or "")
        if severity == "error":
            result.errors[urn] = text
        result.messages.append(Message(severity.upper(), text, urn))


def _take_step(done: dict[str, object], result: Result) -> None:
    metadata: dict[str, object] = dict(done["metadata"])  # type: ignore[call-overload]
    kind = str(metadata.get("type"))
    if kind.startswith("pulumi:"):
        return
    operation = _VERBS.get(str(metadata["op"]), str(metadata["op"]))
    diff = metadata.get("detailedDiff")
    paths = dict.fromkeys(diff, "") if isinstance(diff, dict) else {}
    if operation == "same" and paths:
        operation = "update"
    result.steps.append(Step(operation, str(metadata["urn"]), paths))
