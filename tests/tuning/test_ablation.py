"""What each knob of the best is worth, is measured: in turns, in full, and never at the cost of what must not happen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.insight.ablation import Ablation
from brokertuner_tui.knobs.catalogue import KnobValues, defaults
from brokertuner_tui.store.export import conf_text
from brokertuner_tui.store.store import Store
from brokertuner_tui.tuning.ablation import Ablator, ablate
from brokertuner_tui.tuning.events import Confirmed, ConfirmStep, Event, Explained, Measured, RunFinished
from brokertuner_tui.tuning.incumbents import Incumbent
from brokertuner_tui.workload.profile import Profile, Workload
from tests.env.made import OPEN, outcome, window
from tests.tuning.conftest import Bench

CHANGED: KnobValues = {"max_inflight_messages": 500, "max_queued_messages": 5000, "set_tcp_nodelay": True}
BEST = Incumbent({**defaults(), **CHANGED}, 7, [1.0])


def _rate(knobs: KnobValues) -> int:
    return 1000 if knobs["set_tcp_nodelay"] else 500


def _made(knobs: KnobValues) -> Outcome:
    return outcome(window(_rate(knobs)), knobs=knobs)


def _ablate(
    measure: Callable[[KnobValues], Outcome] = _made,
    turns: int = 3,
    *,
    interrupted: Callable[[], bool] = lambda: False,
    broke: Callable[[KnobValues], bool] = lambda knobs: False,
    progress: Callable[[int, int], None] = lambda done, total: None,
    idle: Sequence[str] = (),
) -> Ablation | None:
    return ablate(
        BEST,
        defaults(),
        list(CHANGED),
        turns,
        OPEN.name,
        idle=idle,
        left_out={"persistence": "too many restarts"},
        measure=measure,
        interrupted=interrupted,
        broke=broke,
        progress=progress,
    )


def test_each_knob_is_set_back_once_in_every_turn_beside_the_best() -> None:
    steps = []
    found = _ablate(progress=lambda done, total: steps.append((done, total)))
    assert found is not None
    for turn in (1, 2, 3):
        assert {one.of for one in found.windows if one.turn == turn} == {"best", *CHANGED}
    orders = [[one.of for one in found.windows if one.turn == turn] for turn in (1, 2, 3)]
    assert len({tuple(order) for order in orders}) > 1, "none always follows the same one"
    for one in found.windows:
        assert one.window.on_time == (500 if one.of == "set_tcp_nodelay" else 1000)
    # The other two show no worth: without both of them it is measured twice as often, ABBA.
    assert found.dropped == ("max_inflight_messages", "max_queued_messages")
    later = [one.of for one in found.windows if one.turn > 3]
    assert later in (["best", "simplest", "simplest", "best"] * 3, ["simplest", "best", "best", "simplest"] * 3)
    assert [done for done, _ in steps] == list(range(1, 12 + 12 + 1))
    assert all(done <= total for done, total in steps)
    assert steps[0][1] == 12
    assert steps[-1] == (24, 24)
    assert found.left_out == {"persistence": "too many restarts"}


def test_what_cannot_matter_is_not_measured_alone_and_left_away_in_the_end() -> None:
    found = _ablate(lambda knobs: outcome(window(_rate(knobs)), knobs=knobs), idle=["autosave_interval"])
    assert found is not None
    assert found.dropped == ("max_inflight_messages", "max_queued_messages", "autosave_interval")
    assert "autosave_interval" not in {one.of for one in found.windows}


def test_what_breaks_the_slo_is_not_measured_again() -> None:
    measured, broken = [], list[KnobValues]()

    def measure(knobs: KnobValues) -> Outcome:
        measured.append(knobs)
        if not knobs["set_tcp_nodelay"]:
            broken.append(knobs)
        return _made(knobs)

    found = _ablate(measure, broke=lambda knobs: knobs in broken)
    assert found is not None
    assert sum(not knobs["set_tcp_nodelay"] for knobs in measured) == 1
    assert found.broke == ("set_tcp_nodelay",)
    assert "SLO" in found.left_out["set_tcp_nodelay"]
    assert "set_tcp_nodelay" not in found.dropped


def test_a_simpler_setting_that_breaks_the_slo_is_none() -> None:
    def broke(knobs: KnobValues) -> bool:
        return knobs["max_inflight_messages"] == 20 and knobs["max_queued_messages"] == 1000

    found = _ablate(broke=broke)
    assert found is not None
    assert found.dropped == ()
    assert not found.broke


def test_where_the_best_breaks_the_slo_it_is_over() -> None:
    broken = list[KnobValues]()

    def measure(knobs: KnobValues) -> Outcome:
        if knobs == BEST.knobs:
            broken.append(knobs)
        return _made(knobs)

    assert _ablate(measure, broke=lambda knobs: knobs in broken) is None


def test_what_cannot_be_measured_is_left_out_and_said() -> None:
    def measure(knobs: KnobValues) -> Outcome:
        made = _made(knobs)
        return made if knobs["max_queued_messages"] == 5000 else replace(made, verdict=Verdict.INCONCLUSIVE)

    found = _ablate(measure)
    assert found is not None
    assert {one.of for one in found.windows} == {"best", "max_inflight_messages", "set_tcp_nodelay"}
    assert "could not be measured" in found.left_out["max_queued_messages"]
    assert found.dropped == ("max_inflight_messages",)
    assert max(one.turn for one in found.windows) == 3, "without one knob it has been measured"
    assert _ablate(lambda knobs: outcome(None, knobs=knobs)) is None


@pytest.mark.parametrize(("after", "turns"), [(2, 0), (9, 2), (13, 3)])
def test_interrupted_it_keeps_the_turns_that_are_whole(after: int, turns: int) -> None:
    measured = 0

    def measure(knobs: KnobValues) -> Outcome:
        nonlocal measured
        measured += 1
        return _made(knobs)

    found = _ablate(measure, interrupted=lambda: measured >= after)
    if not turns:
        assert found is None
        return
    assert found is not None
    assert len(found.windows) == 4 * turns
    assert found.left_out == {"persistence": "too many restarts"}, "what nobody tried is not said to be impossible"


def test_another_load_ends_it() -> None:
    measured = 0

    def measure(knobs: KnobValues) -> Outcome:
        nonlocal measured
        measured += 1
        return replace(_made(knobs), profile=OPEN if measured < 7 else replace(OPEN, name="another"))

    found = _ablate(measure)
    assert found is not None
    assert len(found.windows) == 4


# Each client acknowledges after 20 ms: 20 messages in flight are 1,000 a second, and the rest comes too late.
FAR = Workload.steady(
    Profile("far", publishers=1, subscribers=1, qos=1, rate=1500, window=200, client_rtt_ms=20, slo_ms=100, payload_bytes=64)
)


def test_a_run_tells_what_its_knobs_are_worth(every_mosquitto: Path, bench: Bench) -> None:
    """2.0.11 does not hold max_inflight_messages strictly: nothing can be won there, and nothing has to be explained."""
    own = defaults()
    settings = bench.settings(
        every_mosquitto,
        total_timesteps=4,
        step_interval_sec=0.3,
        confirm_windows=3,
        ablation_windows=2,
        pin={name: own[name] for name in own if name not in ("max_inflight_messages", "memory_limit", "max_queued_messages")},
    )
    session, reader = bench.start(settings, workload=FAR)
    finished = reader.wait_for(RunFinished)
    assert session.join(10)
    (confirmed,) = reader.of(Confirmed)
    if every_mosquitto.parent.name == "bookworm" and not confirmed.better:
        assert {step.what for step in reader.of(ConfirmStep)} == {"best"}
        return
    assert confirmed.better
    assert confirmed.best_knobs["max_inflight_messages"] != 20
    (explained,) = reader.of(Explained)
    (load,) = explained.loads
    by_name = {knob.knob: knob for knob in load.knobs}
    worth = by_name["max_inflight_messages"]
    assert load.mattering[0] == worth
    assert worth.is_measured
    assert worth.default_costs is not None
    assert worth.default_costs.low > 0.5 * confirmed.best.on_time_per_s
    assert load.ablation is not None
    assert "max_inflight_messages" not in load.ablation.dropped
    steps = reader.of(ConfirmStep)
    assert {step.what for step in steps} == {"best", "knobs"}
    with Store.open(bench.folder / "store.db", read_only=True) as store:
        (kept,) = store.ablations(finished.run)
        row, trials = store.run(finished.run), store.trials(finished.run)
        assert store.insight(finished.run) is not None
    assert len(trials) == 4, "an ablation's windows are no trials"
    assert len(kept.windows) == len([step for step in steps if step.what == "knobs"])
    assert finished.conf_path is not None
    text = Path(finished.conf_path).read_text()
    assert text == conf_text(row, trials, explained.loads)
    assert " ".join(text.replace("#", "").split()).count("Its default costs") >= 1


class _Fake:
    """What an `Ablator` asks of the session: a load, the default, and how many restarts are left."""

    def __init__(self, profile: Profile, restarts: int) -> None:
        self.profile, self.default, self.restarts = profile, defaults(), restarts
        self.testbed = self
        self.measured: list[KnobValues] = []
        self.told: list[Event] = []

    def may_restart(self, times: int) -> bool:
        return times <= self.restarts

    def has_broken(self, profile: str, knobs: KnobValues) -> bool:
        return False

    def measure(self, knobs: KnobValues) -> Outcome:
        self.measured.append(knobs)
        return replace(_made(knobs), profile=self.profile)

    def ablate(self, best: KnobValues, turns: int = 2) -> Ablation | None:
        me: Any = self
        ablator = Ablator(me, me, me, turns, self.told.append, measure=self.measure, interrupted=lambda: False)
        figures = Measured(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2)
        confirmed = Confirmed(0.0, self.profile.name, figures, figures, best, 7, 1.0, 1.0, better=True)
        return ablator.ablate(Incumbent({**defaults(), **best}, 7, [1.0]), confirmed)

    def set_back(self) -> set[str]:
        """What was, one at a time."""
        best = max(self.measured, key=self.measured.count)
        back = [{name for name in knobs if knobs[name] != best[name]} for knobs in self.measured]
        return {name for names in back if len(names) == 1 for name in names}


def test_without_restarts_left_knobs_that_need_one_are_left_out_and_said() -> None:
    best: KnobValues = {"set_tcp_nodelay": True, "memory_limit": 10**9, "message_size_limit": 5000}
    fake = _Fake(OPEN, restarts=13)
    found = fake.ablate(best)
    assert found is not None
    assert {one.of for one in found.windows} == {"best", "memory_limit", "message_size_limit", "simplest"}
    assert "14 restarts" in found.left_out["set_tcp_nodelay"]
    assert any("set_tcp_nodelay: it takes 14 restarts" in str(event) for event in fake.told)
    assert all(knobs["set_tcp_nodelay"] for knobs in fake.measured)
    enough = _Fake(OPEN, restarts=14).ablate(best)
    assert enough is not None
    assert not enough.left_out
    none = _Fake(OPEN, restarts=3)
    assert none.ablate({"set_tcp_nodelay": True}) is None
    assert "are worth is not measured: set_tcp_nodelay" in str(none.told[0])


def test_knobs_that_cannot_matter_are_not_measured() -> None:
    fake = _Fake(replace(OPEN, qos=0), restarts=1000)
    found = fake.ablate(
        {"max_inflight_messages": 500, "autosave_interval": 60, "max_queued_messages": 5000, "set_tcp_nodelay": True}
    )
    assert fake.set_back() == {"max_queued_messages", "set_tcp_nodelay"}
    assert found is not None
    assert found.dropped == ("max_inflight_messages", "max_queued_messages", "autosave_interval")
    assert found.windows[-1].of in ("best", "simplest"), "without all of them it is measured"


def test_nothing_is_measured_where_nothing_is_asked_or_changed() -> None:
    fake = _Fake(OPEN, restarts=1000)
    assert fake.ablate({"max_inflight_messages": 500}, turns=0) is None
    assert fake.ablate({}) is None
    assert not fake.measured
    assert not fake.told
