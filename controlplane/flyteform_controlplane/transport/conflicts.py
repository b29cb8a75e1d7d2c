"""The interceptor that does a call again whose transaction the database undid in favour of another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyteform_controlplane.store.conflicts import again_after_conflict

if TYPE_CHECKING:
    from flyteform_controlplane.transport.calls import Call, Handler


async def conflicts(call: Call, proceed: Handler) -> Any:
    """Proceed, again after a conflict; a stream is not: its messages come once."""
    if hasattr(call.request, "__aiter__"):
        return await proceed(call)
    return await again_after_conflict(lambda: proceed(call))
