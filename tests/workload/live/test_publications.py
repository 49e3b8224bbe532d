"""Differences of whole publications of `$SYS`."""

from __future__ import annotations

import pytest

from brokertuner_tui.telemetry.sample import SysRates
from brokertuner_tui.workload.live.publications import RECEIVED, SENT, SILENT_S, Publications, blind_spots, counts_qos2


def _reading(uptime: int, age_s: float, received: int) -> SysRates:
    raw = {
        "uptime": f"{uptime} seconds",
        "version": "mosquitto version 2.0.21",
        RECEIVED: str(received),
        SENT: str(2 * received),
    }
    return SysRates(uptime_s=uptime, version="mosquitto version 2.0.21", age_s=age_s, stale=False, raw=raw)


def _feed(known: Publications, *moments: float, period: float = 2.0, per_s: int = 100, until: float = 0.0) -> None:
    """Readings every 0.1 s up to `until` of a broker that publishes every `period` seconds and receives `per_s`."""
    for tenth in range(1, int(until * 10) + 1):
        now = tenth / 10
        last = now // period * period
        known.note(now, _reading(int(last), now - last, int(last * per_s)))


def test_a_difference_spans_whole_publications_whatever_the_window_is() -> None:
    known = Publications()
    _feed(known, until=9.0)
    counted = known.since(1.3)
    assert counted is not None
    assert counted.seconds == pytest.approx(6.0)  # from 2 to 8
    assert counted.counts[RECEIVED] == 600
    assert counted.counts[SENT] == 1200
    assert counted.own_messages == 3 * 3  # uptime, received and sent changed, version did not
    assert known.since(6.5) is None
    assert known.period_s == pytest.approx(2.0)
    assert "less than twice" in known.why_unknown(9.0)


def test_no_difference_spans_a_restart() -> None:
    known = Publications()
    _feed(known, until=5.0)
    for now, uptime, received in ((7.0, 1, 50), (9.0, 3, 250)):
        known.note(now, _reading(uptime, 0.5, received))
    counted = known.since(0.0)
    assert counted is not None
    assert known.restarts == 1
    assert counted.counts[RECEIVED] == 200
    assert counted.seconds == pytest.approx(2.0)


def test_silence_is_known_after_a_while_and_called_by_its_name() -> None:
    known = Publications()
    known.note(0.0, SysRates())
    assert not known.silent(SILENT_S - 0.1)
    assert known.silent(SILENT_S)
    assert "sys_interval is 0, or an ACL forbids it" in known.why_unknown(SILENT_S)
    heard = Publications()
    _feed(heard, until=5.0)
    assert not heard.silent(6.0)
    assert heard.silent(60.0)  # switched off by a reload: the retained values stay


def test_every_version_has_its_blind_spots() -> None:
    assert any("QoS 2" in spot for spot in blind_spots("mosquitto version 2.0.11"))
    assert not any("QoS 2" in spot for spot in blind_spots("mosquitto version 2.0.21"))
    assert blind_spots("mosquitto version 2.1.2") != blind_spots("mosquitto version 2.0.21")
    assert not counts_qos2("mosquitto version 2.0.11")
    assert counts_qos2("mosquitto version 2.1.2")
    assert counts_qos2("something else")
