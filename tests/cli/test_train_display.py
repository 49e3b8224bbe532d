"""`train` for people: sentences on stderr, the result on stdout."""

from __future__ import annotations

from dataclasses import replace

import pytest

from brokertuner_tui.broker.interface import Difference
from brokertuner_tui.cli.train_display import Display
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.events import State
from tests.cli.fake_session import started, whole_run
from tests.store import made


def test_a_run_that_went_well(capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(total=3)
    for event in whole_run():
        display.event(event)
    display.end(None)
    out, err = capsys.readouterr()
    assert "run 20261121-010000-abc: completed after 3 trials" in out
    for row in ("default", "best", "49,800 to 50,000", "max_inflight_messages", "set_tcp_nodelay", "2000"):
        assert row in out
    assert "max_queued_messages" not in out  # as the default has it
    assert "memory_limit" in out  # pinned
    assert "Config file: /data/broker_tuner.conf" in out
    assert "brokertuner-tui runs export 20261121-010000-abc --conf" in out
    assert "trial 2 failed: the broker exited with 3: Invalid value" in err
    assert "Error: Invalid value" in err  # the log's own words
    assert "something to know" in err
    assert "nan" not in out + err
    assert "\x1b" not in out + err  # no terminal: no colours, no cursor


def test_a_run_that_was_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(total=3)
    display.event(started())
    display.event(made.trial(1))
    display.stopping("SIGINT received")
    display.event(
        made.finished("r", state=State.CANCELLED, default=None, best=None, best_knobs=None, conf_path=None, left="default")
    )
    display.end(None)
    out, err = capsys.readouterr()
    assert "SIGINT received: ending in good order" in err
    assert "No setting was confirmed" in out
    assert "Config file" not in out


def test_a_proposal_is_left_as_lines_of_a_config_with_how_to_apply_it(capsys: pytest.CaptureFixture[str]) -> None:
    proposed = events.Proposed(
        1.0, 4, made.BEST_KNOBS, ("max_inflight_messages", "set_tcp_nodelay"), True, "actor", "31 % were late at 20"
    )
    ended = made.finished("r", default=None, best=None, best_knobs=None, conf_path="/data/proposal.conf", left="current")
    for read_only in (False, True):
        display = Display(total=3)
        for event in (replace(started(), mode="recommend", read_only=read_only), made.trial(3), proposed, ended):
            display.event(event)
        display.end(None)
        out, err = capsys.readouterr()
        assert "Nothing was changed. The last proposal: 31 % were late at 20" in out
        assert "\nmax_inflight_messages 2000" in out
        assert "\nset_tcp_nodelay true" in out
        assert "/data/proposal.conf has all of it: put it into the broker's conf.d, and restart the broker" in out
        assert ("launch --mode recommend" in out) == (not read_only)
        assert "No setting was confirmed" not in out
        assert "proposal for trial 4: " in err
        assert ("read-only" if read_only else "recommend") in err


def test_what_a_guard_does_is_told_in_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(total=3)
    for event in (
        replace(started(), limits=("p99 latency at most 20 ms",)),
        events.Judged(1.0, 2, events.SloVerdict.FAIL, ("p99 latency: 41 ms, at most 20 ms",), 2, True),
        events.RestartsLeft(1.0, 1, None, "5 an hour"),
        events.Drifted(1.0, (Difference("knob", "max_queued_messages", "1000", "5"),)),
    ):
        display.event(event)
    display.end(None)
    err = capsys.readouterr().err
    assert "guarded; guarded are: p99 latency at most 20 ms" in err
    assert "trial 2 breaks the SLO, 2 in a row: p99 latency: 41 ms, at most 20 ms; the last known good is put back" in err
    assert "1 restart left this hour: 5 an hour" in err
    assert "changed by somebody else: max_queued_messages: ours 1000, theirs 5; nothing is overwritten" in err
