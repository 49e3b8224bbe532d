"""A broker that is a formula: real outcomes with made-up figures, and what a runner does with a method."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from brokertuner_tui.bench.method import Method, Task
from brokertuner_tui.bench.methods import registry
from brokertuner_tui.env.outcome import Outcome, Timings, Usage, Verdict
from brokertuner_tui.env.slo import SloPreset
from brokertuner_tui.knobs.catalogue import KnobValues, Value, defaults
from brokertuner_tui.knobs.codec import encode
from brokertuner_tui.knobs.validation import check_all
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.window import Window

VERSION = (2, 0, 21)
WAN = Profile("wan", 4, 4, 4, qos=1, rate=40_000, window=10_000, client_rtt_ms=100, slo_ms=250)
_OFFERED = 40_000


def make_task(seed: int = 1, trials: int = 12, profile: Profile = WAN) -> Task:
    own = defaults(VERSION)
    return Task(profile, VERSION, own, trials, seed, registry.warm_up(profile, VERSION, own, seed))


def share(knobs: KnobValues) -> float:
    """In [0, 0.8], so that no warm-up ends early: smooth in the limits, with a step for set_tcp_nodelay."""
    action = encode(knobs)
    return float(0.5 * np.mean(action[[0, 2]] + 1) / 2 + 0.2 * bool(knobs["set_tcp_nodelay"]) + 0.1 * (action[5] + 1) / 2)


def answer(knobs: Mapping[str, Value], verdict: Verdict = Verdict.OK, profile: Profile = WAN) -> Outcome:
    knobs = check_all(knobs)
    on_time = int(_OFFERED * share(knobs))
    window = Window(
        seconds=1.0,
        sent=_OFFERED,
        expected=_OFFERED,
        received=_OFFERED,
        on_time=on_time,
        late=_OFFERED - on_time,
        lost=0,
        missing=0,
        duplicated=0,
        p50_ms=1,
        p90_ms=2,
        p95_ms=3,
        p99_ms=4,
        max_ms=5,
        histogram=((5.0, _OFFERED),),
        on_time_slices=(on_time // 2, on_time - on_time // 2),
        slice_s=0.5,
        clients=8,
        reconnects=0,
        generator_cpu=0.2,
    )
    measured = window if verdict is Verdict.OK else None
    return Outcome(knobs, profile, VERSION, verdict, "", None, measured, Usage(), None, Timings())


def run(
    method: Method, task: Task, verdicts: Callable[[int], Verdict] = lambda number: Verdict.OK, trials: int | None = None
) -> list[dict[str, Value]]:
    """All settings that were tried, the default's trial first."""
    preset, tried = SloPreset(), list[dict[str, Value]]()
    reference = None
    for number in range(1, (trials or task.trials) + 1):
        knobs = dict(task.defaults) if number == 1 else method.ask(task.profile)
        outcome = answer(knobs, verdicts(number))
        reference = reference or outcome
        reward = preset.reward(outcome, reference).value if outcome.verdict is Verdict.OK else None
        method.tell(knobs, outcome, reward)
        tried.append(dict(knobs))
    return tried
