"""A tuner that is killed between any two steps of a change: the next start puts the last known good back, once, and says so."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from brokertuner_tui.broker.external import NotKnown
from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.knobs.catalogue import Value
from tests.broker.conftest import MakeBroker
from tests.broker.fake_units import FakeUnit
from tests.waiting import eventually

GOOD: dict[str, Value] = {"max_inflight_messages": 30}
NEW: dict[str, Value] = {"max_inflight_messages": 40}
STEPS = ("intent", "pre-test", "file", "restart", "verify", "nothing")
_DYING = """
import json, os, signal, sys
from pathlib import Path
from brokertuner_tui.broker import intent, knob_file, folder, managed_change, external_change, pretest
from brokertuner_tui.broker.command import CommandService
from brokertuner_tui.broker.external import ExternalBroker
from brokertuner_tui.broker.external import NotKnown
from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.mqtt.endpoint import Endpoint

kind, step, *rest = sys.argv[1:]
armed = False

def dies_after(owner, name):
    original = getattr(owner, name)
    def wrapped(*arguments, **options):
        result = original(*arguments, **options)
        if armed:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(owner, name, wrapped)

dies_after(*{
    "intent": (intent.LastGood, "announce"),
    "pre-test": (pretest.Attempt, "result"),
    "file": (folder.BrokerFolder, "write_knobs") if kind == "managed" else (knob_file.KnobFile, "write"),
    "restart": (managed_change.ManagedChange, "_spawn") if kind == "managed" else (CommandService, "restart"),
    "verify": (managed_change.ManagedChange if kind == "managed" else external_change.BrokerChange, "_prove"),
    "nothing": (managed_change, "NotUp"),
}[step])
if kind == "managed":
    broker = ManagedBroker(Path(rest[0]), Path(rest[1]))
else:
    commands = json.loads(rest[1])
    broker = ExternalBroker(
        CommandService(**commands, main_config=Path(rest[2])), Path(rest[3]),
        lambda host, port: Endpoint(host or "127.0.0.1", port or 1883), program=Path(rest[0]),
    )
usual = broker.baseline
broker.start(usual)
broker.apply({**usual, "max_inflight_messages": 30})
broker.confirm()
armed = True
broker.apply({**usual, "max_inflight_messages": 40})
os.kill(os.getpid(), signal.SIGKILL)
"""


def _dies(*arguments: object) -> None:
    """A tuner that confirms GOOD and is killed after a step on the way to NEW."""
    ended = subprocess.run([sys.executable, "-c", _DYING, *map(str, arguments)], timeout=60, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


@pytest.mark.parametrize("step", STEPS)
def test_a_broker_of_our_own(step: str, mosquitto: Path, make_broker: MakeBroker, tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    _dies("managed", step, mosquitto, folder)
    assert (folder / "intent.json").exists()
    broker = make_broker(mosquitto, folder=folder)
    usual = broker.baseline
    assert eventually(lambda: _is_free(folder))
    applied = broker.start(usual)
    assert applied.knobs == broker.status().knobs == broker.last_good == usual | GOOD
    assert "Receive Maximum 30" in applied.checks
    assert "max_inflight_messages" in broker.recovered
    assert "was rolled back" in broker.recovered
    assert not (folder / "intent.json").exists()
    assert not (folder / "pretest").exists(), "what a killed tuner left of a pre-test goes"
    broker.stop()
    again = ManagedBroker(mosquitto, folder)
    try:
        assert again.start(usual).knobs == usual
        assert again.recovered == "", "once"
    finally:
        again.stop()


def _is_free(folder: Path) -> bool:
    """Whether the killed tuner's broker is gone, too (the reaper sees to that)."""
    return not any(str(folder) in " ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"]))


@pytest.mark.parametrize("step", STEPS)
def test_a_broker_that_was_there_before_us(step: str, mosquitto: Path, tmp_path: Path) -> None:
    unit = FakeUnit(tmp_path / "unit", mosquitto)
    unit.start()
    try:
        commands = {verb: unit.command(verb) for verb in ("restart", "reload", "status", "log", "pid")}
        originals = tmp_path / "originals"
        _dies("external", step, mosquitto, json.dumps(commands), unit.main, originals)
        broker = unit.broker(originals)
        intent = broker.knob_file.intent
        assert intent.exists()
        usual = broker.baseline
        applied = broker.start(usual)
        assert applied.knobs == broker.status().knobs == broker.last_good == usual | GOOD
        assert "Receive Maximum 30" in applied.checks
        assert "was rolled back" in broker.recovered
        assert not intent.exists()
        assert "max_inflight_messages 30\n" in unit.knob_file.read_text()
        broker.stop()
        again = unit.broker(originals)
        assert again.start(usual).knobs == usual
        assert again.recovered == "", "once"
        again.stop()
    finally:
        unit.stop()


def test_a_broker_that_does_not_even_run_any_more(mosquitto: Path, tmp_path: Path) -> None:
    """The change ended it, and its tuner died, too: what stands in the way is what the roll-back mends."""
    unit = FakeUnit(tmp_path / "unit", mosquitto)
    unit.start()
    try:
        originals = tmp_path / "originals"
        broker = unit.broker(originals)
        usual = broker.baseline
        broker.start(usual)
        broker.apply(usual | NEW)
        broker.stop()
        body = unit.knob_file.read_bytes()
        unit.kill()
        assert unit.broker(originals).problems(), "it does not run"
        back = unit.broker(originals)
        assert back.start(usual).knobs == usual
        assert "was rolled back" in back.recovered
        assert unit.knob_file.read_bytes() != body
        assert unit.pid is not None
        back.stop()
    finally:
        unit.stop()


def test_what_somebody_else_has_written_since_is_not_overwritten(mosquitto: Path, tmp_path: Path) -> None:
    unit = FakeUnit(tmp_path / "unit", mosquitto)
    unit.start()
    try:
        originals = tmp_path / "originals"
        broker = unit.broker(originals)
        usual = broker.baseline
        broker.start(usual)
        broker.apply(usual | NEW)
        broker.stop()
        theirs = b"max_inflight_messages 50\n"
        unit.knob_file.write_bytes(theirs)
        again = unit.broker(originals)
        taken = again.start(again.baseline)
        assert taken.knobs == usual | {"max_inflight_messages": 50}
        assert "was not rolled back" in again.recovered
        assert again.knob_file.original().content == theirs  # type: ignore[union-attr]
        again.stop()
    finally:
        unit.stop()


def test_who_may_change_nothing_only_tells(mosquitto: Path, tmp_path: Path) -> None:
    unit = FakeUnit(tmp_path / "unit", mosquitto)
    unit.start()
    try:
        originals = tmp_path / "originals"
        broker = unit.broker(originals)
        usual = broker.baseline
        broker.start(usual)
        broker.apply(usual | NEW)
        broker.stop()
        before, pid = unit.knob_file.read_bytes(), unit.pid
        looker = unit.broker(originals)
        with contextlib.suppress(NotKnown):  # so soon after its start, what the process has read may not be told
            looker.take_over()
        assert "is left as it is" in looker.recovered
        assert (unit.knob_file.read_bytes(), unit.pid, looker.knob_file.intent.exists()) == (before, pid, True)
        looker.stop()
    finally:
        unit.stop()


def test_restore_forgets_the_intent(mosquitto: Path, tmp_path: Path) -> None:
    unit = FakeUnit(tmp_path / "unit", mosquitto)
    unit.start()
    try:
        originals = tmp_path / "originals"
        broker = unit.broker(originals)
        broker.start(broker.baseline)
        broker.apply(broker.baseline | NEW)
        broker.stop()
        assert broker.knob_file.intent.exists()
        unit.broker(originals).restore()
        assert not unit.knob_file.exists()
        assert [path for path in originals.iterdir() if path.suffix != ".lock"] == []
    finally:
        unit.stop()
