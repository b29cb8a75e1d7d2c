"""Counts and times of calls, and what else is to be watched, in the text format that Prometheus reads.

Names and labels are those of the usual gRPC interceptors for Prometheus, so that common dashboards fit; calls that
came by REST count as calls of the method that they reached.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from grpc import StatusCode
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from flyteform_controlplane.transport.status import observed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric

    from flyteform_controlplane.transport.calls import Call, Handler

CONTENT_TYPE = CONTENT_TYPE_LATEST
# Seconds: from a read of the cache to a large workflow's registration on a busy machine.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_BOUNDS = (*(str(bound) for bound in BUCKETS), "+Inf")
_LABELS = ("grpc_service", "grpc_method")


class Source(Collector, ABC):
    """Metrics that have to be looked for before they can be collected."""

    @abstractmethod
    async def look(self) -> None:
        """Find out what `collect` says then; raises nothing and takes some seconds at most."""


class Metrics:
    """The metrics of one control plane; `measure` is an interceptor and belongs outside of all others."""

    def __init__(self, *sources: Source) -> None:
        self._sources = sources
        self._registry = CollectorRegistry()
        self._calls: dict[str, _Calls] = {}
        for collector in (_CallCollector(self._calls), *sources):
            self._registry.register(collector)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    async def measure(self, call: Call, proceed: Handler) -> Any:
        """Count and time the call, however it ends."""
        calls = self._calls.get(call.method)
        if calls is None:
            calls = self._calls[call.method] = _Calls()
        calls.in_flight += 1
        return await observed(call, proceed, calls.end)

    async def scrape(self) -> bytes:
        """Return all metrics in the text format, see `CONTENT_TYPE`."""
        await asyncio.gather(*(source.look() for source in self._sources))
        return generate_latest(self._registry)


class _Calls:
    """The calls of one method. All happens in one event loop, so counting needs no locks, which cost more than it."""

    __slots__ = ("codes", "counts", "in_flight", "seconds")

    def __init__(self) -> None:
        self.in_flight = 0
        self.seconds = 0.0
        # One for each bucket by itself, the last one for what is longer than all bounds.
        self.counts = [0] * (len(BUCKETS) + 1)
        self.codes: dict[StatusCode, int] = {}

    def end(self, _call: Call, code: StatusCode, seconds: float) -> None:
        self.in_flight -= 1
        self.seconds += seconds
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.codes[code] = self.codes.get(code, 0) + 1


class _CallCollector(Collector):
    """What was counted, when Prometheus asks."""

    def __init__(self, calls: dict[str, _Calls]) -> None:
        self._calls = calls

    def collect(self) -> Iterable[Metric]:
        handled = CounterMetricFamily(
            "grpc_server_handled", "Calls that ended, by code.", labels=(*_LABELS, "grpc_code")
        )
        seconds = HistogramMetricFamily("grpc_server_handling_seconds", "How long calls took.", labels=_LABELS)
        in_flight = GaugeMetricFamily("grpc_server_in_flight", "Calls that are being served.", labels=_LABELS)
        for method, calls in self._calls.items():
            labels = _labels(method)
            buckets = list(zip(_BOUNDS, accumulate(calls.counts), strict=True))
            seconds.add_metric(labels, buckets, calls.seconds)
            in_flight.add_metric(labels, calls.in_flight)
            for code, count in calls.codes.items():
                handled.add_metric((*labels, _camel(code.name)), count)
        return handled, seconds, in_flight


def _labels(method: str) -> tuple[str, str]:
    service, _, name = method.removeprefix("/").partition("/")
    return service, name


def _camel(code: str) -> str:
    """Spell a code as dashboards expect it: `NotFound`, and `OK`."""
    return code if code == StatusCode.OK.name else "".join(part.capitalize() for part in code.split("_"))
