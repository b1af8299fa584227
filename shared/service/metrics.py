"""Prometheus metrics shared by all services; per process, scraped at /metrics.

Requests are counted in plain lists and only shaped for Prometheus when scraped: the client's
labelled histogram costs several microseconds an observation, this costs half of one.
"""

import platform
from bisect import bisect_left
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from shared.service.admission import Admission

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class RequestMetrics(Collector):
    """Counts requests by method, route template and status, with latency by route."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, int], int] = {}
        self._latency: dict[tuple[str, str], list[int]] = {}
        self._sums_s: dict[tuple[str, str], float] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one finished request; `route` is the template, never a path with ids."""
        key = (method, route, status)
        self._counts[key] = self._counts.get(key, 0) + 1
        pair = (method, route)
        buckets = self._latency.get(pair)
        if buckets is None:
            buckets = self._latency[pair] = [0] * (len(LATENCY_BUCKETS_S) + 1)
            self._sums_s[pair] = 0.0
        buckets[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1
        self._sums_s[pair] += seconds

    def collect(self) -> Iterable[Metric]:
        """The families as Prometheus wants them (cumulative buckets)."""
        requests = CounterMetricFamily(
            "oms_http_requests", "HTTP requests answered", labels=["method", "route", "status"]
        )
        for (method, route, status), count in self._counts.items():
            requests.add_metric([method, route, str(status)], count)
        yield requests
        latency = HistogramMetricFamily(
            "oms_http_request_seconds", "Time to answer a request", labels=["method", "route"]
        )
        for (method, route), buckets in self._latency.items():
            total, cumulative = 0, []
            for bound, count in zip([*LATENCY_BUCKETS_S, "+Inf"], buckets, strict=True):
                total += count
                cumulative.append((str(bound), float(total)))
            latency.add_metric([method, route], cumulative, self._sums_s[method, route])
        yield latency


class Metrics:
    """One process's registry. Services add their own metrics to `registry`."""

    def __init__(self, service: str, version: str = "0") -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self.requests = RequestMetrics()
        self.registry.register(self.requests)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.in_flight = Gauge(
            "oms_http_in_flight", "HTTP requests being answered", registry=self.registry
        )
        self.loop_lag_s = Gauge(
            "oms_event_loop_lag_seconds", "Latest event loop delay", registry=self.registry
        )
        self.loop_lag_alarms = Counter(
            "oms_event_loop_lag_alarms", "Event loop delays over the limit", registry=self.registry
        )
        self.task_ready = Gauge(
            "oms_task_ready", "1 when a background task is ready", ["task"], registry=self.registry
        )
        self.task_progress = Gauge(
            "oms_task_progress", "Steps a task has done", ["task"], registry=self.registry
        )
        build = Gauge(
            "oms_build_info",
            "Always 1; what runs",
            ["service", "version", "python"],
            registry=self.registry,
        )
        build.labels(service, version, platform.python_version()).set(1)

    def watch(self, admission: Admission) -> None:
        """Show the gate of new work, read when scraped."""
        shed = Gauge("oms_admission_shed", "New work turned away", ["why"], registry=self.registry)
        for why in admission.shed:
            shed.labels(why).set_function(lambda why=why: float(admission.shed[why]))  # type: ignore[misc]
        lag = Gauge(
            "oms_admission_lag_seconds", "Behind, as the gate counts it", registry=self.registry
        )
        lag.set_function(lambda: admission.lag_s)
        in_flight = Gauge(
            "oms_admission_in_flight", "New work under way in this process", registry=self.registry
        )
        in_flight.set_function(lambda: float(admission.in_flight))

    def exposition(self) -> bytes:
        """All metrics in the Prometheus text format 0.0.4."""
        return generate_latest(self.registry)
