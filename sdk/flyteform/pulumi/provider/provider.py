"""The provider: each operation that Pulumi's engine asks for, over plain values."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flyteform.errors import InvalidInputError, UnavailableError
from flyteform.provision.model import Action
from flyteform.pulumi.kinds import CONFIGURATION
from flyteform.pulumi.provider.checks import Failure, check_configuration, check_inputs
from flyteform.pulumi.provider.configuration import Configuration, readable
from flyteform.pulumi.provider.diffs import PropertyChange, Remembered, diff
from flyteform.pulumi.provider.errors import Partial, PartialError
from flyteform.pulumi.provider.platforms import Connection, Platform, StepError
from flyteform.pulumi.provider.reading import imported, refreshed
from flyteform.pulumi.provider.subjects import Subject, address_named, address_of, identify, subject_of
from flyteform.pulumi.provider.telling import Teller, Update
from flyteform.pulumi.provider.values import Properties, has_unknown
from flyteform.pulumi.provider.worlds import outputs_left, outputs_settled, outputs_when_done

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from flyteform.provision.model import Address
    from flyteform.pulumi.kinds import ResourceType
    from flyteform.pulumi.provider.engine import EngineLog


ADDRESS = ("project", "domain", "name")  # the inputs that say what a resource is


@dataclass(frozen=True, slots=True)
class Target:
    """The resource that an operation is about, and the properties whose changes are ignored."""

    described: ResourceType
    urn: str
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """A resource as the state has it."""

    inputs: Properties = field(default_factory=Properties)
    outputs: Properties = field(default_factory=Properties)

    @property
    def remembered(self) -> Remembered:
        """Its plain values."""
        return Remembered(self.inputs.values, self.outputs.values)


@dataclass(frozen=True, slots=True)
class Read:
    """A resource as the platform has it; no id if it is not there."""

    id: str = ""
    inputs: Properties = field(default_factory=Properties)
    outputs: Properties = field(default_factory=Properties)


class Provider:
    """Answers for all resources of one run of the engine."""

    def __init__(self, log: EngineLog) -> None:
        self._log = log
        self._configuration = Configuration({})
        self._connection: Connection | None = None
        self._unreachable = False
        # Who declares what in this run: what another resource declares too is not taken out of use.
        self._declared: defaultdict[Address, set[str]] = defaultdict(set)

    def check_config(self, given: Mapping[str, Any]) -> tuple[Failure, ...]:
        """Return what is wrong with the configuration."""
        values = readable(given)
        failures = check_configuration(CONFIGURATION, values)
        configuration = Configuration(values)
        if failures or not configuration.is_known or not values.get("endpoint"):
            return failures
        try:
            configuration.connection()
        except InvalidInputError as error:
            return (Failure("endpoint", error.message),)
        return ()

    async def configure(self, given: Mapping[str, Any]) -> None:
        """Take the configuration; nothing is sent to the platform."""
        await self.close()
        self._configuration = Configuration(readable(given))

    def check(self, target: Target, before: Properties, given: Properties) -> tuple[Properties, tuple[Failure, ...]]:
        """Return the inputs with defaults, and what is wrong with them."""
        inputs, failures = check_inputs(target.described, before.values, given.values, self._configuration.defaults)
        if not failures:
            self.declare(target, inputs)
        return Properties(inputs, given.secrets), failures

    def declare(self, target: Target, inputs: Mapping[str, Any]) -> None:
        """Note that the program declares what these inputs name."""
        if not has_unknown([inputs.get(name) for name in ADDRESS]):
            self._declared[address_of(target.described, inputs)].add(target.urn)

    def diff(self, target: Target, old: Known, given: Properties) -> tuple[PropertyChange, ...]:
        """Return what an update would change."""
        return diff(target.described, old.remembered, given.values, target.ignored)

    async def create(self, target: Target, given: Properties, *, preview: bool) -> tuple[str, Properties]:
        """Bring a resource about, whatever of it is there already; return its id, "" if not known yet, and outputs."""
        subject = subject_of(target.described, given.values)
        if not preview:
            return await self._bring_about(target, subject, given)
        if subject is not None:
            await self._foretold(target, lambda teller, platform: teller.creation(subject, platform))
        identifier = "" if subject is None else identify(subject.address)
        return identifier, _outputs(target, subject, given)

    async def update(self, target: Target, old: Known, given: Properties, *, preview: bool) -> Properties:
        """Bring a resource to its new inputs; a preview tells what that means."""
        subject = subject_of(target.described, given.values, target.ignored)
        if not preview:
            return (await self._bring_about(target, subject, given))[1]
        if subject is None:
            await self._teller(target).outline(old.remembered, old.inputs, given)
        else:
            told = Update(subject, old.remembered, old.inputs, given)
            if not await self._foretold(target, lambda teller, platform: teller.update(told, platform)):
                await self._teller(target).update(told, None)
        return _outputs(target, subject, given)

    async def read(self, target: Target, identifier: str, old: Known) -> Read:
        """Read a resource for a refresh, or for an import where nothing is remembered."""
        platform = await self._platform()
        if old.outputs.values:
            address = address_named(target.described, identifier)
            found = await refreshed(platform, target.described, address, old.remembered)
        else:
            identifier, _, version = identifier.partition("@")
            address = address_named(target.described, identifier)
            found = await imported(platform, target.described, address, version)
        if found is None:
            return Read()
        inputs, outputs = found
        return Read(identify(address), Properties(inputs, old.inputs.secrets), Properties(outputs, old.outputs.secrets))

    async def delete(self, target: Target, identifier: str) -> None:
        """Take a resource out of use, unless another one of the same program is the same thing."""
        address = address_named(target.described, identifier)
        others = self._declared[address] - {target.urn}
        if others:
            await self._log.info(f"stays in use: {min(others)} declares the same {address}", target.urn)
            return
        await (await self._platform()).take_out_of_use(address)

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()
        self._connection = None

    async def _platform(self) -> Platform:
        if not self._configuration.is_known:
            raise UnavailableError("the platform's address is not known yet", remedy="create the platform first")
        if self._connection is None:
            self._connection = Connection(self._configuration.connection())
        return await self._connection.platform()

    async def _foretold(self, target: Target, tell: Callable[[Teller, Platform], Awaitable[None]]) -> bool:
        """Tell in a preview what the platform makes of it; False if it is not there, or cannot be reached from here."""
        if not self._configuration.is_known or self._unreachable:
            return False
        try:
            await tell(self._teller(target), await self._platform())
        except UnavailableError as error:
            if not self._unreachable:
                self._unreachable = True
                await self._log.warning(f"this preview is not held against the platform: {error.message}", target.urn)
            return False
        return True

    def _teller(self, target: Target) -> Teller:
        return Teller(self._log, target.described, target.urn)

    async def _bring_about(self, target: Target, subject: Subject | None, given: Properties) -> tuple[str, Properties]:
        if subject is None:
            raise InvalidInputError("an input is still unknown", remedy="report this: updates have no unknown inputs")
        identifier = identify(subject.address)
        wanted = _outputs(target, subject, given)
        try:
            before = await (await self._platform()).bring_about(subject)
        except StepError as error:
            if not any(step.action is not Action.NO_OP for step in error.done):
                raise
            partial = Properties(outputs_left(wanted.values), wanted.secrets)
            raise PartialError(Partial(identifier, given, partial), error) from error
        return identifier, Properties(outputs_settled(subject, wanted.values, before), wanted.secrets)


def _outputs(target: Target, subject: Subject | None, given: Properties) -> Properties:
    return Properties(outputs_when_done(target.described, subject, given.values), given.secrets)
