"""The connection to an agent on the screen."""

from __future__ import annotations

from dataclasses import replace

from brokertuner_tui.cli import event_lines
from brokertuner_tui.connection.tracker import ConnectionState, ConnectionStatus
from brokertuner_tui.tui.fold import fold
from brokertuner_tui.tui.model import Model
from brokertuner_tui.tui.widgets.status import status_line
from brokertuner_tui.tuning import events
from tests.tui.fake_session import START, history

URL = "https://far.example:8080"
WELL = ConnectionStatus(URL, ConnectionState.CONNECTED, START, 0, 1, START, "", None)
AWAY = replace(
    WELL, state=ConnectionState.DISCONNECTED, attempts=3, attempts_total=4, last_error="it was cut", next_attempt_s=4.2
)


def told(model: Model, *statuses: ConnectionStatus) -> Model:
    return fold(model, [events.ConnectionChanged(START, status) for status in statuses])


def with_sample(model: Model, status: ConnectionStatus) -> Model:
    assert model.sample is not None
    return replace(model, sample=replace(model.sample, connection=status))


def test_the_status_line_says_how_the_agent_is() -> None:
    model = fold(Model(), history(3)[1])
    assert "agent" not in status_line(model, START, 200).plain
    assert "agent ● 2 s" in status_line(with_sample(model, WELL), START + 2, 200).plain
    for width in (80, 110, 200):
        line = status_line(with_sample(model, AWAY), START + 12, width).plain
        assert "agent is away: attempt 3, next in 4 s" in line, line
    assert "last heartbeat 12 s ago" in line
    slow = replace(WELL, state=ConnectionState.DEGRADED)
    assert "agent is slow" in status_line(with_sample(model, slow), START, 110).plain
    over = replace(AWAY, state=ConnectionState.GIVEN_UP, next_attempt_s=None)
    assert "agent was given up" in status_line(with_sample(model, over), START, 110).plain


def test_the_log_has_a_line_for_each_outage_not_for_each_attempt() -> None:
    trying = replace(AWAY, state=ConnectionState.CONNECTING)
    model = told(Model(), replace(trying, attempts=1), WELL, AWAY, trying, AWAY, trying, AWAY, trying, WELL)
    assert [line.text for line in reversed(model.log)] == [
        f"connected to the agent at {URL}",
        "it was cut; tuning waits",
        f"connected to the agent at {URL}",
    ]
    over = told(model, AWAY, replace(AWAY, state=ConnectionState.GIVEN_UP, last_error="no route"))
    assert over.log[0].text == f"{URL} was given up: no route"
    assert over.log[0].tone == "worse"


def test_scripts_read_every_change() -> None:
    line = event_lines.line(events.ConnectionChanged(START, AWAY))
    assert line is not None
    assert (line["event"], line["name"], line["state"], line["attempts"]) == ("connection", URL, "disconnected", 3)
    assert line["connection"] == "agent"
    assert line["last_heartbeat"] == START
    assert line["last_error"] == "it was cut"
