"""A formula that behaves like Mosquitto under load, to develop the agent on: 20 microseconds a trial instead of a second.

Little's law, a service rate, Nagle's algorithm and the queue limits, with constants fitted to measured tables of 2.0.11, 2.0.21
and 2.1.2 (cores and loopback of one machine). It is for iterating and for tests that need thousands of trials. No claim about
the agent may rest on it.
"""

from __future__ import annotations

import math

import numpy as np

from brokertuner_tui.broker.interface import Applied
from brokertuner_tui.env.outcome import Outcome, Timings, Usage, Verdict
from brokertuner_tui.knobs.catalogue import KnobValues, Version, changed, defaults, needs_restart
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.window import Window

PROFILES = {
    profile.name: profile
    for profile in (
        Profile("telemetry", 20, 2, 2, 0, 64, 5_000, 200, 0, slo_ms=2),
        Profile("pipeline", 10, 10, 10, 1, 64, 0, 200, 0, slo_ms=50),
        Profile("wan", 4, 4, 4, 1, 64, 40_000, 60_000, 100, slo_ms=250),
        Profile("fanout", 1, 100, 1, 1, 64, 500, 1_000, 50, slo_ms=10),
        Profile("bulk", 4, 4, 4, 1, 65_536, 0, 50, 0, slo_ms=50),
        Profile("burst", 10, 10, 10, 1, 256, 30_000, 5_000, 20, burst=(0.2, 0.8), slo_ms=20),
    )
}
VERSIONS: tuple[Version, ...] = ((2, 0, 11), (2, 0, 21), (2, 1, 2))

_UNLIMITED = 10**12
_SERVICE_PER_S = {(2, 0, 11): 138_000.0, (2, 0, 21): 127_000.0, (2, 1, 2): 260_000.0}
"""Small messages a second that a saturated broker forwards."""
_BYTES_PER_S = 1.7e9
_WINDOW_S = 1.0


class ToyBroker:
    """Takes knobs, gives outcomes, with noise; remembers only what is in force."""

    def __init__(self, profile: Profile, version: Version, seed: int) -> None:
        self.profile, self.version = profile, version
        self._rng = np.random.default_rng(seed)
        self._knobs: KnobValues = defaults(version)

    def trial(self, knobs: KnobValues) -> Outcome:
        """One second under `knobs`."""
        how = "restart" if needs_restart(self._knobs, knobs) else "reload"
        applied = Applied(how, knobs, changed(self._knobs, knobs), 1, None, 0, 0, 0, 0, 0, ())  # type: ignore[arg-type]
        self._knobs = dict(knobs)
        outcome = Outcome(
            knobs, self.profile, self.version, Verdict.OK, "", applied, None, Usage(50.0, 20_000_000, 1e4), None, Timings()
        )
        if knobs["max_packet_size"] < self.profile.payload_bytes + 20 or 0 < knobs["memory_limit"] < 4_000_000:
            return Outcome(knobs, self.profile, self.version, Verdict.FAILED, "toy", None, None, Usage(), None, Timings())
        window, busy = self._window(knobs)
        usage = Usage(100 * busy * float(self._rng.normal(1, 0.03)), 20_000_000, 1e4)
        return Outcome(knobs, self.profile, self.version, Verdict.OK, "", applied, window, usage, None, outcome.timings)

    def on_time_per_s(self, knobs: KnobValues) -> float:
        """Without noise."""
        return self._model(knobs)[1]

    def _window(self, knobs: KnobValues) -> tuple[Window, float]:
        received, on_time, p50, spread, busy, offered = self._model(knobs)
        received = max(0.0, received * self._rng.normal(1, 0.015))
        on_time = min(received, max(0.0, on_time * self._rng.normal(1, 0.015)))
        p99 = p50 * spread * math.exp(self._rng.normal(0, 0.3))
        return (
            Window(
                seconds=_WINDOW_S,
                sent=int(offered / max(1.0, self.profile.fan_out)),
                expected=int(offered),
                received=int(received),
                on_time=int(on_time),
                late=int(received) - int(on_time),
                lost=0,
                missing=max(0, int(offered - received)),
                duplicated=0,
                p50_ms=p50,
                p90_ms=p50 + 0.6 * (p99 - p50),
                p95_ms=p50 + 0.8 * (p99 - p50),
                p99_ms=p99,
                max_ms=2 * p99,
                histogram=(),
                on_time_slices=(),
                slice_s=0.1,
                clients=self.profile.clients,
                reconnects=0,
                generator_cpu=0.5,
            ),
            busy,
        )

    def _model(self, knobs: KnobValues) -> tuple[float, float, float, float, float, float]:
        """(received, on time, p50 ms, p99 / p50, share of a core, offered)."""
        load, version = self.profile, self.version
        limit = {name: _UNLIMITED if int(knobs[name]) == 0 else int(knobs[name]) for name in knobs}
        strict = version >= (2, 0, 16)
        nodelay = bool(knobs["set_tcp_nodelay"])
        service = 1 / (1 / _SERVICE_PER_S[version] + load.payload_bytes / _BYTES_PER_S)
        service *= 0.47 if nodelay and load.rate == 0 and load.payload_bytes < 4096 else 1.0
        if load.qos == 0:
            service *= 1.5
        if knobs["persistence"] and limit["autosave_interval"] < 5:
            service *= 0.85
        # In flight: each subscriber has at most so many unacknowledged messages.
        in_flight = min(limit["max_inflight_messages"], 65_535, max(1, limit["max_inflight_bytes"] // load.payload_bytes))
        if not strict:
            in_flight = max(in_flight, 5 * in_flight if in_flight > 2 else in_flight)
        rtt_s = load.client_rtt_ms / 1000 + (0.0001 if nodelay else 0.02 if load.client_rtt_ms else 0.0005)
        cap = _UNLIMITED if load.qos == 0 else load.subscribers * in_flight / rtt_s
        queue = min(limit["max_queued_messages"], limit["max_queued_bytes"] // load.payload_bytes)
        if limit["message_size_limit"] < load.payload_bytes:
            return 0.0, 0.0, 0.0, 1.0, 0.3, load.rate * load.fan_out or 1e5
        peak = sum(load.burst) / load.burst[0] if load.burst else 1.0
        if load.rate > 0:
            offered = load.rate * load.fan_out
            through = min(offered, cap, service)
            backlog = max(0.0, offered * peak - min(cap, service)) * (load.burst[0] if load.burst else _WINDOW_S)
            kept = min(1.0, (queue * load.subscribers + 1) / max(1.0, backlog)) if backlog > 0 else 1.0
            if through >= offered and kept < 1:
                through *= kept
            wait_ms = 1000 * min(backlog, queue * load.subscribers) / max(1.0, min(cap, service)) / 2
        else:
            offered = service * (1.5 if version >= (2, 1, 0) and in_flight < 100 else 1.0)
            outstanding = load.publishers * load.window
            share = in_flight / (in_flight + (30 if version >= (2, 1, 0) else 3))
            through = service * share * (1 - 0.9 * math.exp(-queue / (3 * load.window / 50)))
            wait_ms = 1000 * outstanding / max(1.0, through)
            if version >= (2, 1, 0):
                wait_ms *= 6 if in_flight < 60 else 1
            if load.payload_bytes > 10_000 and strict and not nodelay:
                wait_ms *= 20 if version < (2, 1, 0) else 3
        nagle_ms = 0.0 if nodelay or load.rate == 0 else 8.0 if load.qos == 0 else 20.0
        p50 = 0.4 + wait_ms + nagle_ms / 2
        # Latencies about log-normal around the wait, and uniform over Nagle's delay.
        deviation = 0.35
        on_time_share = _below(load.slo_ms, 0.4 + wait_ms, deviation)
        if nagle_ms:
            on_time_share *= min(1.0, 0.3 + 0.25 * load.slo_ms / nagle_ms)
        busy = min(1.0, through / service) * (0.9 if nodelay else 0.7)
        return through, through * on_time_share, p50, 3.0, busy, offered


def _below(bound: float, median: float, deviation: float) -> float:
    return 0.5 * (1 + math.erf(math.log(bound / median) / (deviation * math.sqrt(2))))
