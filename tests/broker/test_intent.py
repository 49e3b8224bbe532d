"""What is noted before a change: whole, strict, and gone once it is confirmed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from brokertuner_tui.broker.intent import Intent, LastGood
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import defaults
from brokertuner_tui.process import lock
from brokertuner_tui.process.owner import Owner
from tests.broker.conftest import MakeBroker

USUAL = defaults((2, 0, 21))
OTHER = USUAL | {"max_inflight_messages": 40}


def noted(path: Path) -> LastGood:
    last_good = LastGood(path)
    last_good.starts_with(USUAL, b"# the operator's \xff\n")
    last_good.announce(USUAL, OTHER)
    return last_good


def test_it_comes_back_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_at_work", lock.Holder())  # what is at work is this process's: put back afterwards
    lock.at_work(run="r1", save_dir=tmp_path)
    path = tmp_path / "made" / "intent.json"
    noted(path)
    assert path.stat().st_mode & 0o777 == 0o600
    intent, said = LastGood(path).unfinished()
    assert said == ""
    assert intent is not None
    assert (intent.last_good, intent.in_force, intent.wanted, intent.run) == (USUAL, USUAL, OTHER, "r1")
    assert intent.file == b"# the operator's \xff\n"
    assert intent.owner == Owner.this_process()
    assert "max_inflight_messages" in intent.told()
    assert "(run r1)" in intent.told()


def test_what_was_confirmed_needs_no_roll_back(tmp_path: Path) -> None:
    path = tmp_path / "intent.json"
    last_good = noted(path)
    last_good.reached(OTHER)
    assert path.exists(), "in force, but not proven"
    last_good.confirm(OTHER)
    assert not path.exists()
    assert last_good.knobs == OTHER
    last_good.announce(OTHER, USUAL)
    last_good.reached(OTHER)
    assert not path.exists(), "back to the last known good"
    assert LastGood(path).unfinished() == (None, "")


def _text(change: Any) -> bytes:
    data = json.loads(Intent(USUAL, None, USUAL, OTHER, 1.0, Owner.this_process()).as_json())
    change(data)
    return json.dumps(data).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        _text(lambda data: data.update(format=2)),
        _text(lambda data: data.update(more=1)),
        _text(lambda data: data.pop("wanted")),
        _text(lambda data: data["last_good"].pop("persistence")),
        _text(lambda data: data["last_good"].update(max_inflight_messages="20\nplugin /x.so")),
        _text(lambda data: data["last_good"].update(max_inflight_messages=-1)),
        _text(lambda data: data["last_good"].update(max_inflight_messages=20.5)),
        _text(lambda data: data["last_good"].update(unknown=1)),
        _text(lambda data: data.update(file="not base64!")),
        _text(lambda data: data.update(at="now")),
        _text(lambda data: data.update(at=float("nan"))),
        _text(lambda data: data["owner"].update(pid=True)),
        _text(lambda data: data.update(run="two\nlines")),
    ],
)
def test_a_damaged_one_is_set_aside_and_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "intent.json"
    path.write_bytes(content)
    intent, said = LastGood(path).unfinished()
    assert intent is None
    assert "cannot be trusted" in said
    assert "\n" not in said
    assert not path.exists()
    assert (tmp_path / "intent.damaged").read_bytes() == content


def test_a_broker_starts_with_what_it_is_asked_for_where_the_intent_is_damaged(
    mosquitto: Path, make_broker: MakeBroker, tmp_path: Path
) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    (folder / "intent.json").write_bytes(_text(lambda data: data["last_good"].update(max_inflight_messages=-1)))
    broker = make_broker(mosquitto, folder=folder)
    assert broker.start(broker.baseline).knobs == broker.baseline
    assert "cannot be trusted" in broker.recovered


def test_a_change_that_cannot_be_noted_is_not_made(mosquitto: Path, make_broker: MakeBroker, tmp_path: Path) -> None:
    broker = make_broker(mosquitto)
    with pytest.raises(TunerError, match="not started"):
        broker.confirm()
    usual = broker.baseline
    pid = broker.start(usual).pid
    (broker.folder / "intent.json").mkdir()
    with pytest.raises(TunerError, match=r"cannot be noted in .*intent\.json.*the knobs before are still in force"):
        broker.apply(usual | {"max_inflight_messages": 5})
    assert (broker.status().knobs, broker.status().pid) == (usual, pid)


def test_a_failed_change_goes_back_to_what_was_confirmed(mosquitto: Path, make_broker: MakeBroker, tmp_path: Path) -> None:
    """Not to what was in force before it, which had not proven itself."""
    script = tmp_path / "mosquitto"
    script.write_text(
        f'#!/bin/sh\ncase "$*" in */pretest/*) ;; *-c*) for last; do :; done\n'
        f'grep -q "max_inflight_messages 66" "${{last%/*}}/conf.d/broker_tuner.conf" && exit 7;; esac\nexec {mosquitto} "$@"\n'
    )
    script.chmod(0o755)
    broker = make_broker(script)
    usual = broker.baseline
    broker.start(usual)
    assert broker.last_good == usual
    broker.apply(usual | {"max_inflight_messages": 30})
    broker.confirm()
    assert broker.last_good == usual | {"max_inflight_messages": 30}
    broker.apply(usual | {"max_inflight_messages": 40})
    with pytest.raises(TunerError, match="the last known good knobs are back in force"):
        broker.apply(usual | {"max_inflight_messages": 66})
    assert broker.status().knobs == usual | {"max_inflight_messages": 30}
    assert not (broker.folder / "intent.json").exists()
