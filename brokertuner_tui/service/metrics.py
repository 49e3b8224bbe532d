"""What Prometheus scrapes, read at the moment it asks."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from brokertuner_tui import __version__
from brokertuner_tui.process import registry
from brokertuner_tui.service.hosted import Hosted
from brokertuner_tui.telemetry.sample import Sample

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Reading(Collector):
    def __init__(self, host: Hosted, streams: int) -> None:
        self._host, self._streams = host, streams

    def collect(self) -> Iterable[Metric]:
        """Everything, once."""
        yield InfoMetricFamily("brokertuner", "The agent.", {"version": __version__, "broker_kind": self._host.kind})
        yield _gauge("streams", "Telemetry streams that are open.", self._streams)
        yield from self._broker()
        yield from self._telemetry()
        yield from self._load()
        yield from self._session()
        yield _gauge("orphan_processes", "Children on this machine whose tuner is gone.", len(registry.orphans()))

    def _broker(self) -> Iterable[Metric]:
        status = self._host.status()
        verified = status.state == "listening" and status.knobs is not None
        yield _gauge("broker_up", "1 while the broker runs with knobs that were verified.", float(verified))
        yield CounterMetricFamily("brokertuner_broker_restarts", "Restarts since the agent began.", status.restarts)
        knobs = GaugeMetricFamily("brokertuner_knob", "Knobs in force; switches are 0 or 1.", labels=["knob"])
        for name, value in (status.knobs or {}).items():
            knobs.add_metric([name], float(value))
        yield knobs
        if (applied := status.last_applied) is not None:
            yield _gauge("last_apply_seconds", "The last change, until it was verified.", applied.total_s)

    def _telemetry(self) -> Iterable[Metric]:
        sample = self._host.latest()
        if sample is None:
            return
        yield _gauge("sample_time_seconds", "When the telemetry was read, since the epoch.", sample.wall_s)
        yield _gauge("broker_cpu_percent", "Of one core.", sample.process.cpu_percent)
        yield _gauge("broker_memory_bytes", "Resident memory.", sample.process.rss_bytes)
        yield _gauge("broker_context_switches_per_second", "", sample.process.ctx_switches_per_s)
        yield from _connections(sample)
        yield _gauge("sys_stale", "1 while $SYS says nothing.", float(sample.sys.stale))
        if not sample.sys.stale:
            yield _gauge("sys_clients_connected", "$SYS.", sample.sys.clients_connected)
            yield _gauge("sys_messages_received_per_second", "$SYS.", sample.sys.received_per_s)
            yield _gauge("sys_messages_sent_per_second", "$SYS.", sample.sys.sent_per_s)
            yield _gauge("sys_messages_dropped_per_second", "$SYS.", sample.sys.dropped_per_s)
            yield _gauge("sys_heap_bytes", "$SYS.", sample.sys.heap_bytes)

    def _session(self) -> Iterable[Metric]:
        status = self._host.session_status()
        drifted = bool(self._host.status().drift if status is None else status.drift)
        yield _gauge("drifted", "1 while the broker is not as it was left: somebody else has changed it.", float(drifted))
        if status is None:
            return
        mode = "read-only" if status.read_only else status.mode
        yield InfoMetricFamily("brokertuner_session", "The tuning session.", {"mode": mode, "state": status.state})
        yield _gauge("session_trials", "Trials that are over.", status.trial)
        waits = status.proposal is not None
        yield _gauge("session_proposal_waiting", "1 while a proposal waits for a person.", float(waits))
        if status.limits:
            verdict = "pass" if status.slo is None else str(status.slo.verdict)
            words = GaugeMetricFamily(
                "brokertuner_slo_verdict", "The guard's last word: 1 for what it was.", labels=["verdict"]
            )
            for word in ("pass", "fail", "inconclusive"):
                words.add_metric([word], float(word == verdict))
            yield words
        if status.restarts is not None and status.restarts.left is not None:
            yield _gauge("restarts_left", "That the agent may still cause in this hour.", status.restarts.left)

    def _load(self) -> Iterable[Metric]:
        load = self._host.load_status()
        yield _gauge("load_running", "1 while a load runs on this side.", float(load is not None and load.pid is not None))
        if load is None:
            return
        yield _gauge("load_connected", "The load's connections.", load.connected)
        yield CounterMetricFamily("brokertuner_load_sent", "Messages of this load's process.", load.sent_total)
        yield CounterMetricFamily("brokertuner_load_received", "Deliveries.", load.received_total)
        yield CounterMetricFamily("brokertuner_load_on_time", "Deliveries within the SLO.", load.on_time_total)


def text(host: Hosted, streams: int) -> bytes:
    """In Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Reading(host, streams))
    return generate_latest(registry)


def _connections(sample: Sample) -> Iterable[Metric]:
    labels = ["connection"]
    up = GaugeMetricFamily("brokertuner_connection_up", "1 while it can be used.", labels=labels)
    attempts = CounterMetricFamily("brokertuner_connection_attempts", "Attempts to connect.", labels=labels)
    outage = GaugeMetricFamily("brokertuner_connection_outage_attempts", "Of the outage that is going on.", labels=labels)
    beat = GaugeMetricFamily("brokertuner_connection_heartbeat_time_seconds", "The last one, since the epoch.", labels=labels)
    for name, status in sample.connections.items():
        up.add_metric([name], float(status.state.usable))
        attempts.add_metric([name], status.attempts_total)
        outage.add_metric([name], status.attempts)
        if status.last_heartbeat is not None:
            beat.add_metric([name], status.last_heartbeat)
    yield from (up, attempts, outage, beat)


def _gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"brokertuner_{name}", meaning or name.replace("_", " "), value)
