"""Events as a session makes them, for tests of what is done with them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from brokertuner_tui.broker.interface import Applied, BrokerStatus
from brokertuner_tui.env.outcome import Outcome, Timings, Usage, Verdict
from brokertuner_tui.insight import AblationInsight, CurvePoint, Estimate, KnobInsight, LoadInsight
from brokertuner_tui.insight.ablation import Ablation, AblationWindow
from brokertuner_tui.knobs import catalogue, codec
from brokertuner_tui.store.rows import RunInfo
from brokertuner_tui.telemetry.sample import ProcessUsage, Sample, SysRates
from brokertuner_tui.tuning.events import AgentState, Confirmed, Measured, RunFinished, State, TrialFinished, TrialKind
from brokertuner_tui.workload.load import LoadStatus
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.window import Window

VERSION = (2, 0, 21)
PROFILE = Profile("fanout", subscribers=100, qos=1, rate=500.0, burst=(0.2, 0.8), slo_ms=10.0)
BEST_KNOBS = catalogue.defaults(VERSION) | {"max_inflight_messages": 2000, "set_tcp_nodelay": True}


def run_info(**changes: Any) -> RunInfo:
    """A run that begins at a fixed time."""
    info = RunInfo(
        preset="slo",
        workload="fanout",
        profile=PROFILE.as_dict(),
        seed=7,
        config={"tuning": {"preset": "slo"}},
        started_at=1_795_222_800.5,  # 2026-11-21 01:00:00 UTC
        broker_kind="managed",
        mosquitto_path="/usr/sbin/mosquitto",
        mosquitto_version=VERSION,
        pinned={"persistence": False},
        versions={"brokertuner-tui": "0.1.0"},
    )
    return replace(info, **changes)


def window(**changes: Any) -> Window:
    """A second of fan-out."""
    made = Window(
        seconds=1.0,
        sent=500,
        expected=50_000,
        received=49_000,
        on_time=48_000,
        late=1000,
        lost=10,
        missing=20,
        duplicated=1,
        p50_ms=0.5,
        p90_ms=1.0,
        p95_ms=1.5,
        p99_ms=9.5,
        max_ms=40.0,
        histogram=((0.5, 25_000), (50.0, 24_000)),
        on_time_slices=(12_000, 12_100, 11_900, 12_000),
        slice_s=0.25,
        clients=101,
        reconnects=0,
        generator_cpu=0.4,
    )
    return replace(made, **changes)


def trial(number: int = 1, *, verdict: Verdict = Verdict.OK, **changes: Any) -> TrialFinished:
    """A trial; one that is not `ok` has no window and no reward."""
    ok = verdict is Verdict.OK
    applied = Applied(
        how="restart",
        knobs=BEST_KNOBS,
        changed=("max_inflight_messages", "set_tcp_nodelay"),
        pid=4242,
        old_pid=4241,
        write_s=0.002,
        stop_s=0.001,
        start_s=0.004,
        verify_s=0.001,
        total_s=0.008,
        checks=("process", "CONNACK"),
    )
    sample = Sample(
        at_s=12.0,
        wall_s=1_795_222_801.0,
        broker=BrokerStatus("listening", "127.0.0.1", 1883, 4242, 1.0, VERSION, 1, BEST_KNOBS, applied),
        load=LoadStatus("running", 4300, PROFILE, 101, 101, 0, 500, 49_000, 48_000, 0.4),
        sys=SysRates(raw={"uptime": "3 seconds"}),
        process=ProcessUsage(4242, 40.0, 5_000_000, 900.0),
        sent_per_s=500.0,
        received_per_s=49_000.0,
        on_time_per_s=48_000.0,
    )
    event = TrialFinished(
        at=1_795_222_800.5 + number,
        trial=number,
        kind=TrialKind.AGENT,
        outcome=Outcome(
            knobs=BEST_KNOBS,
            profile=PROFILE,
            version=VERSION,
            verdict=verdict,
            reason="" if ok else "the broker exited with 3: Invalid value",
            applied=applied if ok else None,
            window=window() if ok else None,
            usage=Usage(40.0, 5_000_000, 900.0),
            sample=sample if ok else None,
            timings=Timings(0.01, 0.02, 0.03, 0.25, 1.0, 0.04, 0.005),
        ),
        reward=0.75 if ok else None,
        reward_terms={"goodput": 0.8, "cpu": -0.05} if ok else {},
        action=tuple(float(number) for number in codec.encode(BEST_KNOBS)),
        observation=(0.1, 0.2, math.nan),
        next_observation=(0.3, 0.4, 0.5),
        agent=AgentState("actor", 0.3, 0.01, None, 12, 40, "goes by the actor"),
        changed=("max_inflight_messages", "set_tcp_nodelay"),
        is_best=ok,
        best_trial=number if ok else None,
    )
    return replace(event, **changes)


DEFAULT_MEASURED = Measured(
    on_time_per_s=0.0, low=0.0, high=0.0, received_per_s=28_000.0, on_time_share=0.0, p99_ms=math.nan, windows=5
)
BEST_MEASURED = Measured(
    on_time_per_s=49_900.0, low=49_800.0, high=50_000.0, received_per_s=50_000.0, on_time_share=0.998, p99_ms=1.5, windows=5
)


def confirmed() -> Confirmed:
    """The default delivers nothing on time: the ratio is infinite."""
    return Confirmed(
        at=1_795_222_900.0,
        profile="fanout",
        default=DEFAULT_MEASURED,
        best=BEST_MEASURED,
        best_knobs=BEST_KNOBS,
        best_trial=2,
        ratio_low=math.inf,
        ratio_high=math.inf,
        better=True,
    )


def finished(run: str, **changes: Any) -> RunFinished:
    """A run that was completed and confirmed."""
    event = RunFinished(
        at=1_795_222_910.0,
        run=run,
        state=State.COMPLETED,
        reason="all trials are done",
        trials=3,
        seconds=109.5,
        default=DEFAULT_MEASURED,
        best=BEST_MEASURED,
        best_knobs=BEST_KNOBS,
        left="best",
        broker_restarts=3,
        workload_restarts=1,
        conf_path="/data/broker_tuner.conf",
    )
    return replace(event, **changes)


ABLATION = Ablation(
    at=1_795_222_860.5,
    profile="fanout",
    best_trial=2,
    best_knobs=BEST_KNOBS,
    default=catalogue.defaults(VERSION),
    windows=(
        AblationWindow(1, "best", window()),
        AblationWindow(1, "set_tcp_nodelay", window(on_time=24_000, received=24_000, p99_ms=41.0)),
        AblationWindow(2, "set_tcp_nodelay", window(on_time=25_000, received=25_000, p99_ms=42.0)),
        AblationWindow(2, "best", window(on_time=48_500)),
    ),
    left_out={"max_inflight_messages": "breaks the SLO without it"},
    broke=("max_inflight_messages",),
)
LOADS = (
    LoadInsight(
        profile="fanout",
        verdict="explained",
        why="",
        trials=40,
        settings=36,
        in_percent=False,
        noise=250.0,
        explained=0.93,
        tolerance=1000.0,
        best_trial=2,
        best_knobs=BEST_KNOBS,
        best=Estimate(49_900.0, 49_000.0, 50_100.0),
        default=Estimate(2400.0, 1900.0, 2900.0),
        knobs=(
            KnobInsight(
                "set_tcp_nodelay",
                "matters",
                "",
                default=False,
                best=True,
                total=Estimate(0.62, 0.48, 0.75),
                first=Estimate(0.55, 0.4, 0.7),
                default_costs=Estimate(22_400.0, 21_000.0, 23_800.0),
                as_good_from=True,
                as_good_to=True,
                curve=(CurvePoint(False, 27_500.0, 26_000.0, 29_000.0), CurvePoint(True, 49_900.0, 49_000.0, 50_100.0)),
            ),
            KnobInsight(
                "max_inflight_messages",
                "matters",
                "",
                default=20,
                best=2000,
                total=Estimate(0.41, 0.3, 0.5),
                first=Estimate(0.3, 0.2, 0.4),
                default_costs=Estimate(30_000.0, -500.0, 48_000.0),
                as_good_from=200,
                as_good_to=0,
                open_above=True,
                curve=(CurvePoint(20, 19_900.0, 2000.0, 50_000.0), CurvePoint(2000, 49_900.0, 49_000.0, 50_100.0)),
            ),
            KnobInsight("max_queued_messages", "no sign", "", 1000, 1000, Estimate(0.0, 0.0, 0.02), Estimate(0.0, 0.0, 0.01)),
            KnobInsight("memory_limit", "unclear", "", 0, 0, Estimate(0.08, 0.0, 0.3), Estimate(0.02, 0.0, 0.1)),
            KnobInsight("autosave_interval", "inert", "persistence was always off", 1800, 1800),
            KnobInsight("persistence", "pinned", "pinned at false", False, False),
        ),
    ),
    LoadInsight(
        "pipeline", "not enough", "not enough trials to tell: 4 different settings were measured",
        5, 4, False, 3000.0, None, 4000.0, None, {}, None, None, (),
    ),
)  # fmt: skip
"""What was learned about two loads."""


def with_ablation(*, is_as_good: bool = True, left_out: dict[str, str] | None = None) -> LoadInsight:
    """The first of `LOADS`, whose knobs were set back one at a time; only set_tcp_nodelay matters."""
    out = left_out or {}
    measured: dict[str, dict[str, Any]] = {
        "set_tcp_nodelay": {"default_costs": Estimate(24_000.0, 22_900.0, 25_100.0), "default_p99_ms": 42.5},
        "max_inflight_messages": {
            "status": "no sign",
            "default_costs": Estimate(150.0, -450.0, 750.0),
            "default_p99_ms": 1.6,
        },
    }
    knobs = [
        replace(knob, is_measured=True, **measured[knob.knob]) if knob.knob in measured and knob.knob not in out else knob
        for knob in LOADS[0].knobs
    ]
    ablation = AblationInsight(
        windows=3,
        best=Estimate(49_900.0, 49_500.0, 50_300.0),
        best_p99_ms=1.5,
        left_out=out,
        dropped={"max_inflight_messages": 20},
        costs=Estimate(150.0, -450.0, 750.0) if is_as_good else Estimate(900.0, -1200.0, 3000.0),
        is_as_good=is_as_good,
    )
    return replace(LOADS[0], knobs=tuple(knobs), ablation=ablation)
