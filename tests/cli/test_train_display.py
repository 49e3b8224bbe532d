"""`train` for people: sentences on stderr, the result on stdout."""

from __future__ import annotations

import pytest

from brokertuner_tui.cli.train_display import Display
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
