"""Counts and times of calls, in the text format that Prometheus reads.

Names and labels are those of the usual gRPC interceptors for Prometheus, so that common dashboards fit; calls that
came by REST count as calls of the method that they reached.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from grpc import StatusCode
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from flyteform_controlplane.transport.status import CallError

if TYPE_CHECKING:
    from flyteform_controlplane.transport.calls import Call, Handler

CONTENT_TYPE = CONTENT_TYPE_LATEST
# Seconds: from a read of the cache to a large workflow's registration on a busy machine.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_LABELS = ("grpc_service", "grpc_method")


class Metrics:
    """The metrics of one control plane; `measure` is an interceptor and belongs outside of all others."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._handled = Counter(
            "grpc_server_handled", "Calls that ended, by code.", (*_LABELS, "grpc_code"), registry=registry
        )
        self._seconds = Histogram(
            "grpc_server_handling_seconds", "How long calls took.", _LABELS, registry=registry, buckets=BUCKETS
        )
        self._in_flight = Gauge("grpc_server_in_flight", "Calls that are being served.", _LABELS, registry=registry)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._methods: dict[str, tuple[Histogram, Gauge]] = {}
        self._codes: dict[tuple[str, StatusCode], Counter] = {}

    async def measure(self, call: Call, proceed: Handler) -> Any:
        """Count and time the call, however it ends."""
        seconds, in_flight = self._of(call.method)
        in_flight.inc()
        started = time.perf_counter()
        code = StatusCode.CANCELLED
        try:
            response = await proceed(call)
            code = StatusCode.OK
        except CallError as error:
            code = error.status.code
            raise
        finally:
            seconds.observe(time.perf_counter() - started)
            in_flight.dec()
            self._counter(call.method, code).inc()
        return response

    def render(self) -> bytes:
        """Return all metrics in the text format, see `CONTENT_TYPE`."""
        return generate_latest(self._registry)

    # Looking a labelled metric up costs more than counting, so each is looked up once.

    def _of(self, method: str) -> tuple[Histogram, Gauge]:
        found = self._methods.get(method)
        if found is None:
            labels = _labels(method)
            found = self._methods[method] = (self._seconds.labels(*labels), self._in_flight.labels(*labels))
        return found

    def _counter(self, method: str, code: StatusCode) -> Counter:
        found = self._codes.get((method, code))
        if found is None:
            found = self._codes[method, code] = self._handled.labels(*_labels(method), _camel(code.name))
        return found


def _labels(method: str) -> tuple[str, str]:
    service, _, name = method.removeprefix("/").partition("/")
    return service, name


def _camel(code: str) -> str:
    """Spell a code as dashboards expect it: `NotFound`, and `OK`."""
    return code if code == StatusCode.OK.name else "".join(part.capitalize() for part in code.split("_"))
