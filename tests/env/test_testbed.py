"""One trial on the real thing: what is measured, and what a fault is called."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.config.settings import BrokerSettings, LoadSettings, Settings, TuningSettings
from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.env.testbed import Testbed
from brokertuner_tui.knobs.catalogue import defaults
from brokertuner_tui.workload.profile import Phase, Profile, Workload

QOS1 = Profile("qos1", publishers=2, subscribers=2, topics=2, qos=1, payload_bytes=64, rate=400, window=100, slo_ms=100)


def _testbed(mosquitto: Path, folder: Path, workload: Workload) -> Testbed:
    settings = Settings(
        broker=BrokerSettings(mosquitto=mosquitto),
        load=LoadSettings(ready_sec=3.0),
        tuning=TuningSettings(step_interval_sec=0.3, settle_sec=0.1),
    )
    return Testbed(settings, workload, folder)


@pytest.fixture
def bed(every_mosquitto: Path, tmp_path: Path) -> Iterator[Testbed]:
    """A broker of every version under a small load."""
    made = _testbed(every_mosquitto, tmp_path, Workload.steady(QOS1))
    try:
        made.open()
        made.start_load()
        yield made
    finally:
        made.close()


def test_a_good_trial_delivers_in_time_and_says_how_long_each_phase_took(bed: Testbed) -> None:
    outcome = bed.trial(bed.defaults | {"set_tcp_nodelay": True})
    assert outcome.verdict is Verdict.OK, outcome.reason
    assert outcome.window is not None
    assert outcome.window.on_time > 0
    assert outcome.window.lost == 0
    assert outcome.applied is not None
    assert outcome.applied.how == "restart"
    assert outcome.timings.measure_s >= 0.3
    assert outcome.timings.apply_s > 0
    assert outcome.usage.rss_bytes > 0
    assert bed.trial(outcome.knobs).applied != outcome.applied  # nothing to change: not the same event again


def test_a_broker_that_came_back_on_another_port_takes_the_load_along(
    bed: Testbed, every_mosquitto: Path, tmp_path: Path
) -> None:
    """As an agent's own broker does when the agent was ended and started again."""
    bed.broker.stop()
    bed.broker = ManagedBroker(every_mosquitto, tmp_path / "another")
    bed.broker.start(bed.defaults)
    outcome = bed.trial(bed.defaults)
    assert outcome.verdict is Verdict.OK, outcome.reason


def test_knobs_that_keep_clients_out_fail_the_trial_and_say_so(bed: Testbed) -> None:
    outcome = bed.trial(bed.defaults | {"max_packet_size": 20})
    assert outcome.verdict is Verdict.FAILED
    assert "clients" in outcome.reason
    assert outcome.window is None
    assert bed.trial(bed.defaults).verdict is Verdict.OK


def test_knobs_that_the_broker_does_not_survive_fail_and_the_last_good_ones_are_back(bed: Testbed) -> None:
    before = dict(bed.broker.status().knobs or {})
    outcome = bed.trial(bed.defaults | {"memory_limit": 1, "set_tcp_nodelay": True})
    assert outcome.verdict is Verdict.FAILED
    assert outcome.reason
    assert bed.broker.alive()
    assert dict(bed.broker.status().knobs or {}) == before


def test_an_interruption_ends_the_trial_at_once(bed: Testbed) -> None:
    started = time.monotonic()
    outcome = bed.trial(bed.defaults, seconds=30.0, interrupted=lambda: time.monotonic() - started > 1.0)
    assert outcome.verdict is Verdict.INCONCLUSIVE
    assert "operator" in outcome.reason
    assert time.monotonic() - started < 20


def test_a_workload_of_phases_goes_over_to_the_next_profile(mosquitto_2_0_21: Path, tmp_path: Path) -> None:
    other = Profile("qos0", publishers=3, subscribers=1, topics=1, qos=0, rate=300, slo_ms=100)
    bed = _testbed(mosquitto_2_0_21, tmp_path, Workload("two", (Phase(QOS1, 1.0), Phase(other, 1000.0))))
    try:
        bed.open()
        bed.start_load()
        assert bed.trial(defaults(bed.version), seconds=0.1).profile is QOS1
        deadline = time.monotonic() + 30
        while not bed.follow_schedule():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        outcome = bed.trial(defaults(bed.version))
    finally:
        bed.close()
    assert outcome.profile is other
    assert outcome.window is not None
    assert outcome.window.clients == 4
    assert outcome.window.received > 0
