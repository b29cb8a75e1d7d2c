"""What the engine asks for of a platform, over plain values: foreseen, made, looked at, changed, deleted."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flyteform.errors import ConflictError, FlyteformError, InvalidInputError
from flyteform.pulumi.provider.diffs import PropertyChange
from flyteform.pulumi.provider.errors import Partial, PartialError
from flyteform.pulumi.provider.paths import Difference, differences
from flyteform.pulumi.provider.values import UNKNOWN, Properties, has_unknown
from flyteform_controlplane.transport.ports import probe
from flyteform_local.pulumi.checks import directory_of
from flyteform_local.pulumi.kinds import (
    CONNECTORS,
    DEFAULTS,
    GRPC_PORT,
    HTTP_PORT,
    IMAGES,
    OUTPUTS,
    RETAIN,
    RUNNING,
    STATE_DIR,
    STOPPED,
)
from flyteform_local.pulumi.owners import (
    Claim,
    claim,
    has_platform,
    keep_claim,
    read_claim,
    release,
    remove_data,
    taken,
)
from flyteform_local.starting import LOG_NAME, Settings, answers, settled, start, stop
from flyteform_local.state import read_addresses, read_holder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flyteform.pulumi.provider.engine import EngineLog
    from flyteform_local.state import Addresses, Holder

_HOST = "127.0.0.1"
_PORTS = {GRPC_PORT: "endpoint", HTTP_PORT: "url"}


@dataclass(frozen=True, slots=True)
class Known:
    """A platform as the state has it."""

    inputs: Properties = field(default_factory=Properties)
    outputs: Properties = field(default_factory=Properties)

    @property
    def given(self) -> dict[str, Any]:
        """The inputs, with what they left out; a state written by hand may have them in its outputs only."""
        kept = {name: value for name, value in self.outputs.values.items() if name in (STATE_DIR, *DEFAULTS)}
        return {**DEFAULTS, **kept, **{name: value for name, value in self.inputs.values.items() if value is not None}}


@dataclass(frozen=True, slots=True)
class Read:
    """A platform as it was found; no id if there is none."""

    id: str = ""
    inputs: Properties = field(default_factory=Properties)
    outputs: Properties = field(default_factory=Properties)


class Platforms:
    """The platforms of this machine."""

    def __init__(self, log: EngineLog) -> None:
        self._log = log
        self._version = version("flyteform")

    def diff(self, old: Known, given: Properties) -> tuple[PropertyChange, ...]:
        """Return what an update would change; that the platform does not run any more is seen here, too."""
        changed = tuple(
            PropertyChange(path, difference, of_input=True, replaces=path[0] == STATE_DIR)
            for path, difference in differences(old.given, given.values)
        )
        return changed or tuple(self._drifts(old))

    def _drifts(self, old: Known) -> Iterator[PropertyChange]:
        if not has_platform(Path(old.given[STATE_DIR])):
            # With the data all that is declared on it has gone: a new start alone would hide that.
            yield PropertyChange((STATE_DIR,), Difference.UPDATED, of_input=False, replaces=True)
            return
        if old.outputs.values.get("state") != RUNNING or _ours(Path(old.given[STATE_DIR])) is None:
            yield PropertyChange(("state",), Difference.UPDATED, of_input=False)
        if old.outputs.values.get("version") != self._version:
            yield PropertyChange(("version",), Difference.UPDATED, of_input=False)

    async def create(self, urn: str, given: Properties, *, preview: bool) -> tuple[str, Properties]:
        """Start a platform; `ConflictError` where another one is. A preview starts nothing."""
        inputs = given.values
        if has_unknown(inputs):
            return "", _later(given)
        state_dir = Path(inputs[STATE_DIR])
        holder = _unless_anothers(state_dir, urn)
        if preview:
            return "", _later(given)
        first = read_claim(state_dir) is None
        claim(state_dir, Claim(urn, inputs))
        try:
            # One that runs already is what a run that was killed has left: of which inputs, nobody knows.
            addresses = await self._restarted(urn, inputs, inputs, holder)
        except BaseException:
            if first:
                release(state_dir)
            raise
        return str(state_dir), _outputs(given, addresses)

    async def update(self, urn: str, old: Known, given: Properties, *, preview: bool) -> Properties:
        """Bring a platform to its new inputs, by another start where that is needed."""
        before, inputs = old.given, given.values
        if preview:
            return self._foreseen(old, given)
        state_dir = Path(inputs[STATE_DIR])
        holder = _unless_by_hand(state_dir)
        reason = await self._reason(old, inputs)
        if not reason:
            keep_claim(state_dir, Claim(urn, inputs))
            return Properties({**old.outputs.values, **inputs}, given.secrets)
        for name in _PORTS:
            if inputs[name] not in (0, before[name]):
                probe(_HOST, int(inputs[name]), flag=name)  # before anything is stopped
        await self._log.info(f"starts again: {reason}", urn)
        keep_claim(state_dir, Claim(urn, inputs))
        try:
            addresses = await self._restarted(urn, inputs, _with_ports(before, old.outputs.values, inputs), holder)
        except FlyteformError as error:
            left = Properties({**old.outputs.values, **inputs, "state": STOPPED}, given.secrets)
            raise PartialError(Partial(str(state_dir), given, left), error) from error
        return _outputs(given, addresses)

    async def read(self, identifier: str, old: Known) -> Read:
        """Look at a platform for a refresh, or for an import where nothing is remembered; nothing is started."""
        state_dir = directory_of(identifier)
        if not has_platform(state_dir):
            return Read()
        if not old.outputs.values:
            _unless_by_hand(state_dir)
        claimed = read_claim(state_dir)
        known = old.inputs.values or {**DEFAULTS, **(claimed.inputs if claimed else {})}
        inputs = Properties({**known, STATE_DIR: str(state_dir)}, old.inputs.secrets)
        addresses = _ours(state_dir)
        if addresses is not None and await answers(addresses):
            return Read(str(state_dir), inputs, _outputs(inputs, addresses))
        unknown = {each.name: "" for each in OUTPUTS} | {"log": str(state_dir / LOG_NAME)}
        found = {**unknown, **old.outputs.values, **inputs.values, "state": STOPPED}
        return Read(str(state_dir), inputs, Properties(found, old.outputs.secrets))

    async def delete(self, urn: str, identifier: str, old: Known) -> None:
        """Stop a platform, and remove its data if that is not to be retained."""
        state_dir = directory_of(identifier)
        if not has_platform(state_dir):
            return
        holder = _unless_by_hand(state_dir)
        if holder is not None:
            await stop(state_dir, holder.process)
        await settled(state_dir)
        if old.given[RETAIN]:
            release(state_dir)
        elif left := remove_data(state_dir):
            await self._log.info(f"{state_dir} stays: {', '.join(left)} is not the platform's", urn)

    async def _restarted(
        self, urn: str, given: Mapping[str, Any], ports: Mapping[str, Any], holder: Holder | None
    ) -> Addresses:
        """Stop what runs, and start a platform with these inputs."""
        state_dir = Path(given[STATE_DIR])
        if holder is not None:
            await stop(state_dir, holder.process)
        await settled(state_dir)
        settings = Settings(
            state_dir,
            grpc_port=_port(given, ports, GRPC_PORT),
            http_port=_port(given, ports, HTTP_PORT),
            images=tuple(f"{pattern}={python}" for pattern, python in given[IMAGES].items()),
            connectors=tuple(given[CONNECTORS]),
        )
        return await start(settings, urn)

    async def _reason(self, old: Known, inputs: Mapping[str, Any]) -> str:
        """Return why a platform has to start again, "" if it has not."""
        changed = sorted({str(path[0]) for path, _ in differences(old.given, dict(inputs))} - {RETAIN})
        if changed:
            return f"{', '.join(changed)} changed"
        addresses = _ours(Path(inputs[STATE_DIR]))
        if addresses is None:
            return "it had ended"
        if addresses.version != self._version:
            return f"it is of release {addresses.version or 'unknown'}, this is {self._version}"
        return "" if await answers(addresses) else "it does not answer"

    def _foreseen(self, old: Known, given: Properties) -> Properties:
        """Return the outputs of an update, as far as they are known: where ports stay, so do addresses."""
        outputs = _later(given).values
        outputs["version"] = self._version
        for name, output in _PORTS.items():
            if given.values[name] == old.given[name] and old.outputs.values.get(output):
                outputs[output] = old.outputs.values[output]
        return Properties(outputs, given.secrets)


def _ours(state_dir: Path) -> Addresses | None:
    """Return where a platform serves that a resource has started and that runs, None if there is none."""
    holder = read_holder(state_dir)
    addresses = read_addresses(state_dir)
    running = holder is not None and holder.owner and addresses is not None and addresses.pid == holder.process.pid
    return addresses if running else None


def _unless_by_hand(state_dir: Path) -> Holder | None:
    """Return who runs a platform on a directory; `ConflictError` if a person does."""
    holder = read_holder(state_dir)
    if holder is not None and not holder.owner:
        raise ConflictError(
            f"a platform that was started by hand (process {holder.process.pid}) runs on {state_dir}",
            remedy="end it (Ctrl-C in its terminal), then try again: its data stays, and is taken over",
        )
    return holder


def _unless_anothers(state_dir: Path, urn: str) -> Holder | None:
    """Return our own platform that runs on a directory; `ConflictError` if it is a person's or another resource's."""
    holder = _unless_by_hand(state_dir)
    claimed = read_claim(state_dir)
    owner = claimed.owner if claimed is not None else holder.owner if holder is not None else urn
    if owner != urn:
        raise taken(state_dir, owner)
    return holder


def _outputs(given: Properties, addresses: Addresses) -> Properties:
    found = {
        "endpoint": addresses.grpc,
        "url": addresses.http,
        "log": str(Path(given.values[STATE_DIR]) / LOG_NAME),
        "version": addresses.version,
        "state": RUNNING,
    }
    return Properties({**given.values, **found}, given.secrets)


def _later(given: Properties) -> Properties:
    """Return the outputs of a platform that is not there yet."""
    return Properties({**given.values, **{each.name: UNKNOWN for each in OUTPUTS}, "state": RUNNING}, given.secrets)


def _with_ports(before: Mapping[str, Any], outputs: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ports that a platform had, where any free one will do still."""
    found = {}
    for name, output in _PORTS.items():
        address = str(outputs.get(output) or "")
        had = urlsplit(address if "://" in address else f"//{address}").port
        found[name] = had or 0 if given[name] == before[name] == 0 else given[name]
    return found


def _port(given: Mapping[str, Any], ports: Mapping[str, Any], name: str) -> int:
    """Return the port to listen on: one that nobody asked for may be taken by somebody else meanwhile."""
    try:
        probe(_HOST, int(ports[name]), flag=name)
    except (ConflictError, InvalidInputError):
        if given[name]:
            raise
        return 0
    return int(ports[name])
