"""On-time goodput under the latency SLO, less a little for what it costs; an observation that tells loads apart.

**Reward.** `reward = goodput - cpu - memory - restart`, where

- goodput, in [0, 1], is made of on-time deliveries alone: late, lost, missing and duplicated ones earn nothing.
  With x = on-time deliveries a second:
  - open loop (`rate` > 0): `min(1, x / (rate * fan_out))`, the share of the offered deliveries that arrive in time;
  - closed loop (`rate` = 0; nothing says what would be enough): `x / (x + reference)`, where `reference` is what the default
    delivers a second, late or not. As good as the default and all on time is 0.5, twice that 0.67, and so on; a change of
    one per cent is worth nearly the same wherever it happens.
  - live traffic: (share of the probe's messages in time) x (share of the numbered messages that came, where topics are
    listened to) x (delivered share). The delivered share compares the deliveries a message (`$SYS`: sent over received) with
    those under the default, is never above 1, and counts what was dropped: it is relative to the traffic that is offered, so
    that a quiet hour is no bad setting. What is usual under the default is the first reference's figure, moved by 0.3 of the
    difference by every later trial of the default, since traffic changes its shape; traffic that looks like another load has a
    reference, and a usual figure, of its own. Without `$SYS`, or when next to nothing is
    offered, the delivered share is 1: the probe alone decides.
- cpu is `cpu_weight` for a whole core, memory `memory_weight` for a GiB (not more than that), restart `restart_weight` if
  the trial restarted the broker.

The reference of a closed loop is fixed by the first outcome that is seen under a profile and version (the given reference,
else that outcome itself), and never moves again in the life of the preset: rewards of one run must be comparable with each
other, whatever the machine does in the meantime, since the agent keeps them all. `references` can be carried over to the
next run.

**Observation.** Two parts. The *context* describes the load and the broker's version, and never depends on the action; a
learner with gamma near 0 uses it with the action as the input of a model of the reward. The *response* is what the trial
did. The load's name is not in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from brokertuner_tui.config.settings import SloReward
from brokertuner_tui.env.outcome import Outcome
from brokertuner_tui.env.preset import Observation, Reward
from brokertuner_tui.knobs.catalogue import NAMES, Version
from brokertuner_tui.knobs.codec import encode
from brokertuner_tui.workload.live.figures import LiveFigures
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.window import Window

_FAN_OUT_STEP = 0.3
UNKNOWN_REFERENCE_PER_S = 10_000.0
"""The reference of a closed loop whose first outcome delivered nothing at all."""

CONTEXT_SCALES: Mapping[str, tuple[float, float]] = {
    "rate": (1.0, 1e6),
    "publishers": (1.0, 1e4),
    "subscribers": (1.0, 1e4),
    "fan_out": (1.0, 1e4),
    "fan_in": (1.0, 1e4),
    "deliveries_per_subscriber": (1.0, 1e6),
    "payload": (1.0, 2.0**28),
    "window": (1.0, 1e6),
    "rtt": (1.0, 1e4),
    "slo": (0.1, 1e5),
    "in_flight_needed": (1.0, 1e6),
    "burst": (1.0, 100.0),
    "offline_subscribers": (1.0, 1e4),
}
"""Range of each number that is seen on a logarithmic scale: its ends become 0 and 1."""

CONTEXT_NAMES = (*CONTEXT_SCALES, "open_loop", "qos_1_or_2", "qos_2", "persistent", "mqtt_5", "since_2_0_16", "since_2_1")
RESPONSE_NAMES = (
    "measured",
    "on_time_share",
    "on_time_rate",
    "late_share",
    "lost_share",
    "missing_share",
    "duplicated_share",
    "p50_to_slo",
    "p99_to_slo",
    "sent_rate",
    "clients_share",
    "cpu",
    "memory",
    "ctx_switches",
    "generator_cpu",
)
ACTION_NAMES = tuple(f"knob_{name}" for name in NAMES)


def log_unit(value: float, low: float, high: float) -> float:
    """`value` on a logarithmic scale on which `low` is 0 and `high` is 1, clipped there."""
    if not value > low:
        return 0.0
    return min(1.0, math.log(value / low) / math.log(high / low))


def from_log_unit(name: str, number: float) -> float:
    """The inverse of `log_unit` for a number of the context by its name."""
    low, high = CONTEXT_SCALES[name]
    return float(low * (high / low) ** min(1.0, max(0.0, number)))


def _share(part: float, whole: float) -> float:
    return min(1.0, max(0.0, part / whole)) if whole > 0 else 0.0


def _to_slo(latency_ms: float, slo_ms: float) -> float:
    """-1 for a ten-thousandth of the SLO, 0 for just the SLO, 1 for ten thousand times; -1 too if nothing came."""
    if not latency_ms > 0 or not slo_ms > 0:
        return -1.0
    return min(1.0, max(-1.0, (math.log10(latency_ms) - math.log10(slo_ms)) / 4)) if math.isfinite(latency_ms) else 1.0


def context(profile: Profile, version: Version) -> list[float]:
    """What the load looks like and which broker it meets: one number in [0, 1] for each of CONTEXT_NAMES.

    Of a mix: clients and rates added up; of the rest, and of the flags, the mean over the messages.
    """
    fan_out = profile.fan_out
    per_subscriber = profile.rate * fan_out / max(1, profile.subscribers)
    rtt_ms = profile.client_rtt_ms
    raw = {
        "rate": profile.rate,
        "publishers": profile.publishers,
        "subscribers": profile.subscribers,
        "fan_out": fan_out,
        "fan_in": _mean(profile, lambda part: part.publishers / max(1, min(part.topics, part.publishers))),
        "deliveries_per_subscriber": per_subscriber,
        "payload": _mean(profile, lambda part: part.payload_bytes),
        "window": _mean(profile, lambda part: part.window),
        "rtt": 1.0 + rtt_ms,
        "slo": _mean(profile, lambda part: part.slo_ms),
        # Little's law: arrivals a second times the seconds until the acknowledgement.
        "in_flight_needed": 1.0 + per_subscriber * rtt_ms / 1000,
        "burst": _mean(profile, lambda part: sum(part.burst) / part.burst[0] if part.burst else 1.0),
        "offline_subscribers": 1.0 + profile.offline_subscribers,
    }
    numbers = [log_unit(raw[name], low, high) for name, (low, high) in CONTEXT_SCALES.items()]
    flags = (
        profile.rate > 0,
        _mean(profile, lambda part: part.qos > 0),
        _mean(profile, lambda part: part.qos == 2),
        _mean(profile, lambda part: not part.clean_session),
        _mean(profile, lambda part: part.protocol == 5),
        version >= (2, 0, 16),
        version >= (2, 1, 0),
    )
    return numbers + [float(flag) for flag in flags]


def _mean(profile: Profile, figure: Callable[[Profile], float]) -> float:
    """Over the messages of all that runs at once; over the loads themselves where one is a closed loop."""
    weights = [part.rate if profile.rate > 0 else 1.0 for part in profile.members]
    return sum(weight * figure(part) for weight, part in zip(weights, profile.members, strict=True)) / sum(weights)


class SloPreset:
    """The default preset; see the module's text."""

    name = "slo"

    def __init__(
        self, settings: SloReward | None = None, references: Mapping[tuple[Profile, Version], float] | None = None
    ) -> None:
        self._settings = settings or SloReward()
        self._references = dict(references or {})
        self._usual_fan_out: dict[Profile, float | None] = {}
        """By what the traffic looked like under the reference."""

    @property
    def references(self) -> Mapping[tuple[Profile, Version], float]:
        """Deliveries a second that count as 1 in a closed loop, by profile and version."""
        return dict(self._references)

    @property
    def observation_names(self) -> tuple[str, ...]:
        """Context, response, and the knobs in force."""
        return CONTEXT_NAMES + RESPONSE_NAMES + ACTION_NAMES

    @property
    def context_size(self) -> int:
        """The load and the version come first."""
        return len(CONTEXT_NAMES)

    @property
    def observation_range(self) -> tuple[float, float]:
        """[0, 1], but for latencies and knobs, which use [-1, 1]."""
        return -1.0, 1.0

    @property
    def reward_range(self) -> tuple[float, float]:
        """Nothing on time at the highest cost; everything on time at none."""
        weights = self._settings
        return -(weights.cpu_weight + weights.memory_weight + weights.restart_weight), 1.0

    @property
    def failed_reward(self) -> float:
        """The least there is."""
        return self.reward_range[0]

    def observe(self, outcome: Outcome) -> Observation:
        """Shape (len(observation_names),), float32, each in [-1, 1]; the response is 0 without a window."""
        seen = context(outcome.profile, outcome.version)
        seen += self._response(outcome.profile, outcome.window, outcome) if outcome.window else [0.0] * len(RESPONSE_NAMES)
        return np.concatenate([seen, encode(outcome.knobs)]).astype(np.float32)

    def _response(self, profile: Profile, window: Window, outcome: Outcome) -> list[float]:
        usage = outcome.usage
        offered_per_s = profile.rate * profile.fan_out
        on_time_of = offered_per_s * window.seconds if offered_per_s > 0 else window.expected
        return [
            1.0,
            window.share_in_time if window.live is not None else _share(window.on_time, on_time_of),
            log_unit(1 + window.on_time_per_s, 1, 1e7),
            _share(window.late, window.received),
            _share(window.lost, window.received + window.lost),
            _share(window.missing, window.expected),
            _share(window.duplicated, window.received + window.duplicated),
            _to_slo(window.p50_ms, profile.slo_ms),
            _to_slo(window.p99_ms, profile.slo_ms),
            log_unit(1 + window.sent_per_s, 1, 1e7),
            1.0 if window.live is not None else _share(window.clients, profile.clients),
            _share(usage.cpu_percent, 100),
            log_unit(usage.rss_bytes, 2.0**20, 2.0**35),
            log_unit(1 + usage.ctx_switches_per_s, 1, 1e6),
            _share(window.generator_cpu, 4),
        ]

    def reward(self, outcome: Outcome, reference: Outcome | None) -> Reward:
        """In `reward_range`; rises with on-time deliveries, everything else alike (the module's text has the formula).

        Raises:
            ValueError: the outcome has no window.
        """
        window, weights = outcome.window, self._settings
        if window is None:
            raise ValueError(f"a trial that ended as {outcome.verdict} has no reward")
        restarted = outcome.applied is not None and outcome.applied.how == "restart"
        terms = {
            "goodput": self._goodput(outcome, window, reference),
            "cpu": -weights.cpu_weight * _share(outcome.usage.cpu_percent, 100),
            "memory": -weights.memory_weight * _share(outcome.usage.rss_bytes, 2.0**30),
            "restart": -weights.restart_weight * restarted,
        }
        return Reward(sum(terms.values()), terms)

    def _goodput(self, outcome: Outcome, window: Window, reference: Outcome | None) -> float:
        if window.live is not None:
            return window.share_in_time * window.live.delivered_share(self._learn_fan_out(outcome, window.live, reference))
        on_time = max(0.0, window.on_time_per_s)
        offered = outcome.profile.rate * outcome.profile.fan_out
        if offered > 0:
            return min(1.0, on_time / offered)
        key = (outcome.profile, outcome.version)
        if key not in self._references:
            first = reference.window if reference is not None and reference.window is not None else window
            self._references[key] = first.received_per_s if first.received_per_s > 0 else UNKNOWN_REFERENCE_PER_S
        return on_time / (on_time + self._references[key])

    def _learn_fan_out(self, outcome: Outcome, live: LiveFigures, reference: Outcome | None) -> float | None:
        """Deliveries a live message that are usual under the default with such traffic; None while nothing is known of it."""
        if reference is None:
            return None
        first = reference.window.live.fan_out if reference.window is not None and reference.window.live is not None else None
        usual = self._usual_fan_out.get(reference.profile)
        if usual is None:
            usual = first
        # The default again (or what was known of it first was nothing).
        if outcome is not reference and live.fan_out is not None and outcome.knobs == reference.knobs:
            usual = live.fan_out if usual is None else usual + _FAN_OUT_STEP * (live.fan_out - usual)
        self._usual_fan_out[reference.profile] = usual
        return usual
