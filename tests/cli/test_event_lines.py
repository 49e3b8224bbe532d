"""What scripts read: the shapes that the lines promise."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from brokertuner_tui.broker.interface import Difference
from brokertuner_tui.cli import event_lines
from brokertuner_tui.cli.train_json import JsonLines
from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import NAMES
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.events import State
from tests.cli.fake_session import started, whole_run
from tests.cli.program import lines_of
from tests.store import made


def test_a_trial() -> None:
    line = event_lines.line(made.trial(4))
    assert line is not None
    assert (line["event"], line["trial"], line["verdict"], line["reward"]) == ("trial", 4, "ok", 0.75)
    assert (line["on_time_per_s"], line["received_per_s"], line["p99_ms"]) == (48_000, 49_000, 9.5)
    assert set(line["knobs"]) == set(NAMES)
    assert line["applied"] == {"how": "restart", "pid": 4242, "old_pid": 4241, "s": 0.008}
    assert line["timings"]["measure_s"] == 1.0
    json.dumps(line, allow_nan=False)


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.INCONCLUSIVE])
def test_a_trial_that_says_nothing(verdict: Verdict) -> None:
    line = event_lines.line(made.trial(4, verdict=verdict))
    assert line is not None
    assert line["verdict"] == str(verdict)
    assert line["reward"] is line["on_time_per_s"] is line["p99_ms"] is line["applied"] is None
    assert line["reason"] == "the broker exited with 3: Invalid value"


def test_the_summary_is_exactly_what_was_promised() -> None:
    line = event_lines.summary(made.finished("20261121-010000-abc"))
    assert line == {
        "event": "summary",
        "run": "20261121-010000-abc",
        "state": "completed",
        "trials": 3,
        "seconds": 109.5,
        "default": {"on_time_per_s": 0.0, "low": 0.0, "high": 0.0, "p99_ms": None},
        "best": {"on_time_per_s": 49_900.0, "low": 49_800.0, "high": 50_000.0, "p99_ms": 1.5, "knobs": made.BEST_KNOBS},
        "broker_restarts": 3,
        "workload_restarts": 1,
    }
    without = event_lines.summary(made.finished("r", state=State.FAILED, default=None, best=None, best_knobs=None))
    assert without["default"] is without["best"] is None


def test_every_kind_of_event_has_a_line_that_is_json() -> None:
    names = []
    for event in whole_run():
        line = event_lines.line(event, telemetry=True)
        assert line is not None
        assert json.loads(json.dumps(line, allow_nan=False)) == line
        assert line["at"] == event.at
        names.append(line["event"])
    assert names == [
        *("run", "broker", "state", "load", "trial", "broker", "trial", "pins", "notice", "trial"),
        *("state", "confirming", "confirmed", "state", "ended"),
    ]


def test_telemetry_is_asked_for() -> None:
    sample = made.trial(1).outcome.sample
    assert sample is not None
    for event in (events.Sampled(1.0, sample), events.PhaseChanged(1.0, 3, events.PhaseName.MEASURING, 1.0)):
        assert event_lines.line(event) is None
        line = event_lines.line(event, telemetry=True)
        assert line is not None
        json.dumps(line, allow_nan=False)


def test_the_infinite_is_null() -> None:
    line = event_lines.line(made.confirmed())
    assert line is not None
    assert math.isinf(made.confirmed().ratio_low)
    assert line["ratio_low"] is None
    assert line["default"]["p99_ms"] is None


def test_the_summary_comes_last(capsys: pytest.CaptureFixture[str]) -> None:
    lines = JsonLines(telemetry=False)
    for event in whole_run():
        lines.event(event)
    lines.end(TunerError("something failed"))
    out, err = capsys.readouterr()
    told = lines_of(out)
    assert [line["event"] for line in told[-3:]] == ["ended", "error", "summary"]
    assert told[-3]["conf"] == "/data/broker_tuner.conf"
    assert told[-2] == {"event": "error", "message": "something failed", "exit_code": 1}
    assert err == ""


def test_what_an_operator_is_to_know_of_a_broker_that_matters() -> None:
    difference = Difference("knob", "max_queued_messages", "1000", "5")
    told = [
        replace(started(), mode="recommend", read_only=True, limits=("p99 latency at most 20 ms",)),
        events.Proposed(1.0, 4, made.BEST_KNOBS, ("max_inflight_messages",), True, "actor", "31 % were late"),
        events.Judged(2.0, 4, events.SloVerdict.FAIL, ("p99 latency: 41 ms, at most 20 ms",), 1, True),
        events.RestartsLeft(3.0, 2, None, "5 an hour"),
        events.Drifted(4.0, (difference,)),
        events.Drifted(5.0, ()),
        events.BrokerTrouble(6.0, "killed", "", False, next_attempt_s=3.8),
    ]
    lines = [json.loads(json.dumps(event_lines.line(event), allow_nan=False)) for event in told]
    assert [line["event"] for line in lines] == ["run", "proposal", "slo", "restarts_left", "drift", "drift", "broker"]
    run, proposal, slo, restarts, drift, settled, trouble = lines
    assert (run["mode"], run["read_only"], run["limits"]) == ("recommend", True, ["p99 latency at most 20 ms"])
    assert (proposal["trial"], proposal["knobs"], proposal["needs_restart"]) == (4, made.BEST_KNOBS, True)
    assert (slo["verdict"], slo["rolled_back"], slo["in_a_row"]) == ("fail", True, 1)
    assert slo["reasons"] == ["p99 latency: 41 ms, at most 20 ms"]
    assert (restarts["left"], restarts["until"], restarts["why"]) == (2, None, "5 an hour")
    assert drift["differences"] == [{"what": "knob", "name": "max_queued_messages", "ours": "1000", "theirs": "5"}]
    assert settled["differences"] == []
    assert (trouble["state"], trouble["next_attempt_s"], trouble["given_up"]) == ("down", 3.8, False)
