"""The tuner's own connections to the broker on the screen."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import pytest

from brokertuner_tui.connection.tracker import ConnectionState, ConnectionStatus
from brokertuner_tui.tui import connections
from brokertuner_tui.tui.fold import fold
from brokertuner_tui.tui.model import Model
from brokertuner_tui.tui.widgets.machines import broker_view
from brokertuner_tui.tuning import events
from tests.tui.fake_session import START, history

BEATS = ConnectionStatus("heartbeat", ConnectionState.CONNECTED, START, 0, 1, START, "", None)
SYS = replace(BEATS, name="$SYS", last_heartbeat=START - 1)
LOST = replace(
    BEATS,
    state=ConnectionState.DISCONNECTED,
    attempts=4,
    attempts_total=9,
    last_error="no answer for 3.0 s",
    next_attempt_s=7.6,
)


@pytest.fixture
def model() -> Model:
    return fold(Model(), history(3)[1])


def with_sample(model: Model, *statuses: ConnectionStatus) -> Model:
    assert model.sample is not None
    return replace(model, sample=replace(model.sample, connections={status.name: status for status in statuses}))


def told(model: Model, *statuses: ConnectionStatus) -> Model:
    return fold(model, [events.ConnectionChanged(START, status, status.name) for status in statuses])


def test_all_in_one_line(model: Model) -> None:
    assert connections.brief(model, START, 80) is None
    well = connections.brief(with_sample(model, BEATS, SYS), START + 1, 80)
    assert well is not None
    assert well.plain.split("  ") == ["● heartbeat 1 s", "● $SYS 2 s"]
    ill = connections.brief(with_sample(model, LOST, SYS), START + 1, 80)
    assert ill is not None
    assert "○ heartbeat disconnected, 4 attempts" in ill.plain


def test_a_line_each(model: Model) -> None:
    assert connections.panel(model, START, 80) == []
    rows = [
        row.plain for row in connections.panel(with_sample(model, LOST, replace(SYS, last_heartbeat=None)), START + 12, 100)
    ]
    assert "heartbeat" in rows[0]
    assert "disconnected" in rows[0]
    assert "attempts 4 of 9 in all" in rows[0]
    assert "last heartbeat 12 s ago" in rows[0]
    assert "next in 8 s" in rows[0]
    assert rows[1].strip() == "no answer for 3.0 s"
    assert "$SYS" in rows[2]
    assert "last heartbeat never" in rows[2]


def test_the_brokers_pane(model: Model) -> None:
    well = with_sample(model, BEATS, SYS)
    assert "heartbeat" in broker_view(well, 70, 5).plain
    now = with_sample(model, replace(BEATS, last_heartbeat=time.time()), SYS)
    assert re.search(r"✓  ×\d+  beat \d s", broker_view(now, 42, 4).plain)
    assert "○ heartbeat: attempt 4" in broker_view(with_sample(model, LOST, SYS), 60, 4).plain
    # Where there is little room, only one that has been away for longer than a restart takes is worth it.
    assert "heartbeat" not in broker_view(well, 46, 2).plain
    assert "heartbeat" not in broker_view(with_sample(model, replace(LOST, attempts=1), SYS), 46, 2).plain
    assert "○ heartbeat: attempt 4" in broker_view(with_sample(model, LOST, SYS), 46, 2).plain


def test_before_the_first_sample_events_are_all_there_is() -> None:
    model = told(Model(), LOST, SYS)
    assert dict(model.connections) == {"heartbeat": LOST, "$SYS": SYS}
    assert model.agent is None


def test_the_log_keeps_quiet_about_a_restart() -> None:
    trying = replace(LOST, state=ConnectionState.CONNECTING)
    restart = [
        replace(LOST, attempts=0),
        replace(trying, attempts=1),
        replace(LOST, attempts=1),
        replace(trying, attempts=2),
        BEATS,
    ]
    model = told(Model(), BEATS, *restart)
    assert model.log == ()
    outage = [*restart[:-1], replace(LOST, attempts=2), replace(trying, attempts=3), replace(LOST, attempts=3), trying, LOST]
    model = told(model, *outage, replace(trying, attempts=5), BEATS)
    assert [line.text for line in reversed(model.log)] == [
        "heartbeat: no answer for 3.0 s; it is tried again",
        "heartbeat: connected again after 5 attempts",
    ]
    over = told(model, replace(LOST, state=ConnectionState.GIVEN_UP, attempts=120))
    assert over.log[0].text == "heartbeat: given up after 120 attempts: no answer for 3.0 s"
