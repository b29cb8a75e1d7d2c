"""Many events in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform.proto.flyteform.v1.events_pb2 import EventStatus, ReportEventsRequest, ReportEventsResponse
from flyteform.proto.flyteform.v1.events_pb2_grpc import EventServiceServicer
from flyteform_controlplane.domain.principals import principal_of

if TYPE_CHECKING:
    from flyteform_controlplane.errors import ControlPlaneError
    from flyteform_controlplane.services.events import Events


class EventService(EventServiceServicer):
    """Serves `flyteform.v1.EventService`."""

    def __init__(self, events: Events) -> None:
        self._events = events

    async def ReportEvents(self, request: ReportEventsRequest, context: object) -> ReportEventsResponse:
        """Apply all events; each gets the status that the single-event method would have answered."""
        refusals = await self._events.apply(request.events, principal_of(context))
        return ReportEventsResponse(statuses=[_status(refusal) for refusal in refusals])


def _status(refusal: ControlPlaneError | None) -> EventStatus:
    if refusal is None:
        return EventStatus()
    number, _ = refusal.status.value
    return EventStatus(code=number, message=refusal.message)
