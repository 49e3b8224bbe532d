"""What an agent tells, and when it counts."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokertuner_tui.broker.remote import wire
from brokertuner_tui.broker.remote.freshness import Freshness
from brokertuner_tui.connection.link import Reading
from brokertuner_tui.env.usage import ProcessGauge, ToldGauge, open_gauge
from brokertuner_tui.errors import ConnectionFailed
from brokertuner_tui.store.plain import finite
from brokertuner_tui.telemetry.sample import ProcessUsage, SysRates
from brokertuner_tui.telemetry.source import Told
from tests.store import made

_KEYS = (
    *("how", "knobs", "changed", "pid", "old_pid", "write_s", "total_s", "checks", "state", "host", "port", "version"),
    *("started_at", "restarts", "last_applied", "error", "cpu_percent", "rss_bytes", "age_s", "stale", "raw", "received_per_s"),
)


def test_what_is_sent_is_what_arrives() -> None:
    sample = made.trial(4).outcome.sample
    assert sample is not None
    data: dict[str, Any] = json.loads(json.dumps(finite(sample), allow_nan=False))
    assert wire.broker_status(data["broker"]) == sample.broker
    assert wire.process_usage(data["process"]) == sample.process
    assert wire.sys_rates(data["sys"]) == sample.sys
    never = json.loads(json.dumps(finite(SysRates())))
    assert wire.sys_rates(never) == SysRates(), "an age that is not known has no number in JSON"


@pytest.mark.parametrize("data", [{}, {"knobs": None}, {"state": 1, "last_applied": {"how": "reload"}}])
def test_nonsense_is_one_line(data: dict[str, Any]) -> None:
    with pytest.raises(ConnectionFailed, match="cannot be read") as error:
        wire.broker_status(data)
    assert "\n" not in str(error.value)
    with pytest.raises(ConnectionFailed):
        wire.applied(data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=6),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(_KEYS), _JSON, max_size=12))
def test_whatever_is_sent_is_read_or_refused(data: dict[str, Any]) -> None:
    for read in (wire.applied, wire.broker_status, wire.process_usage, wire.sys_rates):
        with contextlib.suppress(ConnectionFailed):
            read(data)


def reading(beat: int, at: float) -> Reading:
    return Reading(beat, {"at_s": at, "wall_s": at})


def test_a_sample_from_before_a_change_does_not_count_after_it() -> None:
    fresh = Freshness()
    assert fresh.fits(reading(1, 10.0))
    fresh.changed(5)
    assert not fresh.fits(reading(5, 10.3)), "asked for before the change"
    assert not fresh.fits(reading(6, 10.3)), "asked for after it, but maybe sampled before"
    assert not fresh.fits(reading(7, 10.3)), "the same sample again"
    assert fresh.fits(reading(8, 10.6))
    assert fresh.fits(reading(9, 10.6))
    fresh.changed(9)
    assert not fresh.fits(reading(10, 10.9))
    assert fresh.fits(reading(11, 0.1)), "the agent's host was started anew: its clock, too"


class Teller:
    """A broker that tells what it is told to."""

    def __init__(self) -> None:
        self.now: Told | None = None

    def told(self) -> Told | None:
        return self.now

    def tell(self, at: float, cpu_s: float, switches: int, pid: int = 7, cpu_percent: float = 50.0) -> None:
        self.now = Told(at, SysRates(), ProcessUsage(pid, cpu_percent, 1000, 9.0, cpu_s, switches))


def test_usage_that_is_told_is_that_of_the_window_alone() -> None:
    broker = Teller()
    broker.tell(10.0, 1.0, 100)
    gauge = ToldGauge(broker)
    gauge.poll()
    broker.tell(10.4, 1.9, 300)  # the first that was taken while the window was open
    gauge.poll()
    broker.tell(10.8, 2.0, 340)
    gauge.poll()
    usage = gauge.close()
    assert usage.cpu_percent == pytest.approx(25.0)
    assert usage.ctx_switches_per_s == pytest.approx(100.0)
    assert usage.rss_bytes == 1000


def test_usage_in_windows_that_are_too_short_or_hold_a_restart() -> None:
    broker = Teller()
    assert ToldGauge(broker).close().rss_bytes == 0, "nothing is known"
    broker.tell(10.0, 1.0, 100)
    gauge = ToldGauge(broker)
    broker.tell(10.3, 1.1, 110, cpu_percent=33.0)
    assert gauge.close().cpu_percent == 33.0, "one reading: its own"
    gauge = ToldGauge(broker)
    broker.tell(10.6, 1.2, 120)
    gauge.poll()
    broker.tell(10.9, 0.1, 10, pid=8, cpu_percent=44.0)
    gauge.poll()
    assert gauge.close().cpu_percent == 44.0, "another process: its counters began again"


def test_which_gauge_a_broker_gets(tmp_path: Path) -> None:
    from brokertuner_tui.broker.managed import ManagedBroker

    assert isinstance(open_gauge(ManagedBroker(tmp_path, tmp_path)), ProcessGauge)
    assert isinstance(open_gauge(Teller()), ToldGauge)  # type: ignore[arg-type]
