"""Rewards of live traffic: relative to what is offered, so that a quiet hour is no bad setting, and a bad setting is one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokertuner_tui.config.settings import BrokerSettings, LiveSettings, LoadSettings, Settings, SloReward, TuningSettings
from brokertuner_tui.env import trial
from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.env.slo import SloPreset
from brokertuner_tui.env.testbed import Testbed
from brokertuner_tui.knobs.catalogue import defaults
from brokertuner_tui.workload.builtin import BuiltinLoad
from brokertuner_tui.workload.live.figures import LiveFigures, Sequenced
from brokertuner_tui.workload.live.traffic import initial_profile
from brokertuner_tui.workload.profile import Profile, Workload
from brokertuner_tui.workload.window import Window
from tests.conftest import CANDIDATES
from tests.env.made import outcome, window

LIVE = LiveSettings(probe_rate=20, probe_share=1.0, slo_ms=20, window_sec=2.0)
PROFILE = initial_profile(LIVE)
FREE = SloReward(cpu_weight=0.0, memory_weight=0.0, restart_weight=0.0)
NOTHING = LiveFigures(100, 15.0, 0.0, None, None, None, None, None, None, None, None, ())


def _trial(
    offered: float | None, delivered: float | None, dropped: float = 0.0, on_time: int = 100, of: int = 100, **knobs: int
) -> Outcome:
    known = {"offered_per_s": offered, "delivered_per_s": delivered, "dropped_per_s": dropped, "clients": 10}
    live = replace(NOTHING, judged=of, **known) if offered is not None else replace(NOTHING, judged=of)  # type: ignore[arg-type]
    measured = window(on_time, of - on_time, live=live)
    return outcome(measured, PROFILE, knobs=defaults((2, 0, 21)) | knobs)


@given(st.floats(0, 10_000), st.floats(0.5, 20))
def test_the_amount_of_traffic_earns_nothing_and_costs_nothing(offered: float, fan_out: float) -> None:
    preset = SloPreset(FREE)
    reference = _trial(1000, 1000 * fan_out)
    assert preset.reward(reference, reference).value == pytest.approx(1.0)
    assert preset.reward(_trial(offered, offered * fan_out, max_queued_messages=7), reference).value == pytest.approx(1.0)


@given(st.floats(0, 1), st.floats(0, 1))
def test_what_is_not_delivered_or_late_or_dropped_is_paid_for(delivered: float, on_time: float) -> None:
    preset = SloPreset(FREE)
    reference = _trial(1000, 3000)
    preset.reward(reference, reference)
    bad = _trial(1000, 3000 * delivered, on_time=int(100 * on_time), max_inflight_messages=1)
    assert preset.reward(bad, reference).value == pytest.approx(delivered * int(100 * on_time) / 100)
    dropping = _trial(1000, 3000, dropped=1000, max_queued_messages=1)  # counted as sent before it was dropped
    assert preset.reward(dropping, reference).value == pytest.approx(0.75)


def test_without_sys_the_probe_and_the_topics_alone_decide() -> None:
    preset = SloPreset(FREE)
    reference = _trial(None, None)
    assert preset.reward(_trial(None, None, on_time=60), reference).value == pytest.approx(0.6)
    heard = _trial(None, None)
    assert heard.window is not None
    assert heard.window.live is not None
    live = replace(heard.window.live, sequenced=Sequenced(3, 75, 25, 0))
    assert preset.reward(replace(heard, window=replace(heard.window, live=live)), reference).value == pytest.approx(0.75)


def test_the_usual_fan_out_follows_the_default_slowly_and_nothing_else() -> None:
    preset = SloPreset(FREE)
    reference = _trial(1000, 4000)
    preset.reward(reference, reference)
    for _ in range(20):  # more of a setting that delivers less
        assert preset.reward(_trial(1000, 2000, max_inflight_messages=1), reference).value == pytest.approx(0.5)
    assert preset.reward(_trial(1000, 2000), reference).value == pytest.approx(2 / 3.4)  # the default: readers have gone
    for _ in range(20):
        preset.reward(_trial(1000, 2000), reference)
    assert preset.reward(_trial(1000, 2000, max_inflight_messages=200), reference).value == pytest.approx(1.0, abs=0.01)


@given(st.integers(20, 200), st.floats(0, 1))
def test_a_window_of_live_traffic_survives_the_store(judged: int, share: float) -> None:
    made = _trial(1000, 900, 5.0, on_time=int(judged * share), of=judged).window
    assert made is not None
    assert Window.from_dict(made.as_dict()) == made


# -- on a real broker ------------------------------------------------------------------------------------------------


class Site:
    """A broker under live traffic, and a testbed that watches it."""

    def __init__(self, mosquitto: Path, folder: Path, live: LiveSettings) -> None:
        settings = Settings(
            broker=BrokerSettings(mosquitto=mosquitto),
            load=LoadSettings(workload="live"),
            live=live,
            tuning=TuningSettings(step_interval_sec=0.5, settle_sec=0.1),
        )
        self.bed = Testbed(settings, Workload.steady(PROFILE), folder)
        self._others = BuiltinLoad(folder / "others")
        self.preset = SloPreset()
        self.reference: Outcome | None = None

    def open(self, profile: Profile, **knobs: int | bool) -> None:
        """Broker, traffic and probe are up; the reference is measured under `knobs`."""
        self.bed.open(knobs)
        self.bed.start_load()
        self._others.start(profile, self.bed.broker.endpoint)
        self._others.wait_ready(20)
        self.good = self.bed.defaults | knobs
        self.reference, _ = self.reward()

    def change(self, profile: Profile | None) -> None:
        """The traffic becomes another, or stops."""
        if profile is None:
            self._others.stop()
            time.sleep(2.5)  # two publications of $SYS later nothing of it is under way any more
        else:
            self._others.change(profile)
            self._others.wait_ready(20)

    def reward(self, **knobs: int | bool) -> tuple[Outcome, float]:
        """A trial of the good knobs with these changed."""
        seen = self.bed.trial(self.good | knobs)
        assert seen.verdict is Verdict.OK, seen.reason
        return seen, self.preset.reward(seen, self.reference or seen).value

    def undisturbed(self, above: float) -> tuple[Outcome, float]:
        """A trial of the good knobs; another one, up to three, if it earns no more than `above`.

        What else the machine does in a window of two seconds makes messages late, never early.
        """
        found = self.reward()
        for _ in range(2):
            if found[1] > above:
                break
            found = self.reward()
        return found

    def close(self) -> None:
        """Ends everything."""
        self._others.stop()
        self.bed.close()


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """A site on a Mosquitto whose `$SYS` comes every second, where that is at hand."""
    made: list[Site] = []

    def make(live: LiveSettings = LIVE) -> Site:
        made.append(Site(CANDIDATES.get("sid", next(iter(CANDIDATES.values()))), tmp_path, live))
        return made[-1]

    yield make
    for site in made:
        site.close()


BURSTS = Profile("others", publishers=2, subscribers=2, topics=2, qos=1, rate=400, client_rtt_ms=50, burst=(0.2, 0.8))
NOISE = 0.12
"""Of a window of two seconds on a busy machine: a few of its hundred messages late, a burst more or less between two
publications."""


def test_less_traffic_earns_as_much_and_a_bad_setting_less(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.open(BURSTS, set_tcp_nodelay=True, max_inflight_messages=500)
    _, good = site.undisturbed(0.9)
    _, strangled = site.reward(max_inflight_messages=1)
    seen, dropping = site.reward(max_inflight_messages=20, max_queued_messages=1)
    assert seen.window is not None
    assert seen.window.live is not None
    assert seen.window.live.dropped_per_s
    assert good > 0.8
    assert strangled < good - 0.3
    assert dropping < good - 0.3
    site.change(replace(BURSTS, rate=200))
    halved, half = site.undisturbed(good - NOISE)
    site.change(None)
    stopped, quiet = site.undisturbed(good - NOISE)
    assert half > good - NOISE
    assert quiet > good - NOISE
    assert halved.profile.rate == 256.0
    assert stopped.window is not None
    assert stopped.window.live is not None
    assert stopped.window.live.quiet


def test_what_nagle_delays_is_seen_by_the_probe_and_a_trial_that_hurts_is_cut_short(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.open(replace(BURSTS, qos=0, client_rtt_ms=0, burst=None), set_tcp_nodelay=True)
    assert site.reference is not None
    assert site.reference.window is not None
    good = site.reference.window.share_in_time
    _, slow = site.reward(set_tcp_nodelay=False)
    assert slow < good - 0.08  # the second of two at QoS 0: a sixth of the probe
    began = time.perf_counter()
    cut = site.bed.trial(site.good | {"set_tcp_nodelay": False}, seconds=30.0, floor=good - 0.05)
    assert time.perf_counter() - began < 25
    assert (cut.verdict, cut.cut_short) == (Verdict.OK, True)
    assert "of the probe's messages came in time" in cut.reason
    assert cut.window is not None
    assert site.preset.reward(cut, site.reference).value < good - 0.03


def test_a_window_goes_on_until_there_is_enough_to_judge_by(make_site: Callable[..., Site]) -> None:
    site = make_site(LIVE.model_copy(update={"probe_rate": 5.0, "window_sec": 0.5}))
    site.bed.open()
    site.bed.start_load()
    seen = site.bed.trial(site.bed.defaults)
    assert seen.verdict is Verdict.OK, seen.reason
    assert seen.window is not None
    assert seen.window.live is not None
    assert seen.window.live.judged >= 20


def test_too_few_samples_say_nothing(make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_PROBE_PATIENCE_S", 0.0)
    site = make_site(LIVE.model_copy(update={"probe_rate": 1.0, "window_sec": 0.5}))
    site.bed.open()
    site.bed.start_load()
    seen = site.bed.trial(site.bed.defaults)
    assert (seen.verdict, seen.window) == (Verdict.INCONCLUSIVE, None)
    assert "too few" in seen.reason
