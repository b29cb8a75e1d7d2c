"""Gates: attempts that wait for a person, or for time to pass."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from flyteidl.core.identifier_pb2 import SignalIdentifier
from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.core.types_pb2 import LiteralType, SimpleType

from flyteform.errors import UnavailableError
from flyteform_dataplane.engine.failures import Failure
from flyteform_dataplane.errors import UserError

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import Literal
    from flyteidl.core.workflow_pb2 import GateNode

    from flyteform_dataplane.engine.commands import StartAttempt, StopAttempt
    from flyteform_dataplane.runner.waits import Surroundings

_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=0.25), timedelta(seconds=3)
_BOOLEAN = LiteralType(simple=SimpleType.BOOLEAN)


class Gates:
    """Waits at the gates of one execution."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def start(self, command: StartAttempt, *, resumed: bool) -> None:
        """Wait until the signal has its value. Of a sleep the engine knows the end: it begins here."""
        around, gate = self._around, self._gate(command.node)
        inputs = await around.data.inputs(command.node)
        match gate.WhichOneof("condition"):
            case "sleep":
                await around.write(command, LiteralMap())
                around.begin(command, resumed=resumed)
            case "approve":
                signal = gate.approve.signal_id
                value = await self._value(command, signal, _BOOLEAN, resumed=resumed)
                if value.scalar.primitive.boolean:
                    await around.succeed(command, inputs)
                else:
                    around.fail(command, Failure("ReceivedRejectSignal", f"the approval {signal!r} was rejected"))
            case _:
                value = await self._value(command, gate.signal.signal_id, gate.signal.type, resumed=resumed)
                await around.succeed(command, LiteralMap(literals={gate.signal.output_variable_name: value}))

    async def stop(self, command: StopAttempt) -> None:
        """Nothing is left of a wait that was given up."""

    async def _value(self, command: StartAttempt, signal: str, kind: LiteralType, *, resumed: bool) -> Literal:
        """Return the value of a signal when somebody has given it one."""
        name = SignalIdentifier(signal_id=signal, execution_id=self._around.context.id)
        pause, value = _FIRST_PAUSE, await self._ask(name, kind)
        self._around.begin(command, resumed=resumed)
        while value is None:
            await self._around.clock.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
            value = await self._ask(name, kind)
        return value

    async def _ask(self, name: SignalIdentifier, kind: LiteralType) -> Literal | None:
        while True:
            try:
                return await self._around.control.signal(name, kind)
            except UnavailableError:
                await self._around.clock.sleep(_LONGEST_PAUSE)

    def _gate(self, node: str) -> GateNode:
        gate = self._around.context.graph.nodes[node].gate
        if gate is None:
            raise UserError(f"node {node} has no gate to wait at")
        return gate
