"""Brokers that were there before us, by commands around a real Mosquitto: applied, verified, put back, let go."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from brokertuner_tui.broker.external import ExternalBroker
from brokertuner_tui.broker.external_checks import NotReady
from brokertuner_tui.broker.interface import Applied, ApplyFailed, BrokerStopped
from brokertuner_tui.broker.service import Look
from brokertuner_tui.errors import TunerError, UsageError
from brokertuner_tui.knobs.catalogue import Value, defaults
from tests.broker.fake_units import FakeUnit
from tests.waiting import eventually

MakeUnit = Callable[..., FakeUnit]
OPERATORS = "max_queued_messages 500\npersistence true\n"


@pytest.fixture
def make_unit(tmp_path: Path) -> Iterator[MakeUnit]:
    made: list[FakeUnit] = []

    def make(mosquitto: Path, **options: Any) -> FakeUnit:
        unit = FakeUnit(tmp_path / f"unit {len(made)}", mosquitto, **options)
        made.append(unit)
        unit.start()
        return unit

    yield make
    for unit in made:
        unit.stop()


def baseline(broker: ExternalBroker) -> dict[str, Value]:
    return defaults(broker.version) | {"max_queued_messages": 500, "persistence": True}


def left(tmp_path: Path) -> list[Path]:
    """What is kept of the brokers; the note of who had the lock stays, as its owner must not race with the next one."""
    return [path for path in (tmp_path / "originals").iterdir() if path.suffix != ".lock"]


def originals(tmp_path: Path) -> list[Path]:
    """The kept originals alone."""
    return [path for path in left(tmp_path) if ".intent" not in path.name]


def test_a_whole_life(every_mosquitto: Path, make_unit: MakeUnit, tmp_path: Path) -> None:
    unit = make_unit(every_mosquitto, included=OPERATORS)
    before, before_pid = {path: path.read_bytes() for path in (unit.main, *unit.conf_d.iterdir())}, unit.pid
    broker = unit.broker(tmp_path / "originals")
    assert broker.problems() == []
    assert broker.baseline == baseline(broker)
    assert broker.endpoint.port == unit.port

    started = broker.start(broker.baseline)  # the config has only just been written: nobody knows what the process has read
    assert (started.how, started.old_pid, unit.pid) == ("start", before_pid, started.pid)
    assert {"CONNACK", "round trip", "log", f"process {started.pid}", f"port {unit.port} owned"} <= set(started.checks)
    assert broker.status().state == "listening"
    assert broker.status().restarts == 0

    reloaded = broker.apply(broker.baseline | {"message_size_limit": 5000})
    assert (reloaded.how, reloaded.pid, reloaded.changed) == ("reload", started.pid, ("message_size_limit",))
    assert "message_size_limit 5000" in reloaded.checks
    restarted = broker.apply(broker.baseline | {"max_inflight_messages": 7})
    assert (restarted.how, restarted.old_pid) == ("restart", started.pid)
    assert "Receive Maximum 7" in restarted.checks
    assert broker.status().restarts == 1
    assert broker.apply(broker.baseline | {"max_inflight_messages": 7}).how == "none"

    text = unit.knob_file.read_text()
    assert text.startswith("# Written by brokertuner-tui")
    assert "brokertuner-tui restore" in text
    assert "max_inflight_messages 7\n" in text
    assert stat.S_IMODE(unit.knob_file.stat().st_mode) == 0o644

    broker.stop()
    broker.stop()
    assert unit.pid == restarted.pid, "let go, not ended"

    restored = unit.broker(tmp_path / "originals").restore()
    assert restored.how == "restart"
    assert "Receive Maximum 20" in restored.checks
    assert {path: path.read_bytes() for path in (unit.main, *unit.conf_d.iterdir())} == before
    with pytest.raises(UsageError, match="nothing was kept"):
        unit.broker(tmp_path / "originals").restore()


def test_the_operators_own_knob_file_comes_back_byte_for_byte(mosquitto: Path, make_unit: MakeUnit, tmp_path: Path) -> None:
    unit = make_unit(mosquitto)
    own = b"# mine, all mine \xff\r\nmax_queued_messages 500\npersistence true"
    unit.knob_file.write_bytes(own)
    unit.knob_file.chmod(0o640)
    broker = unit.broker(tmp_path / "originals")
    assert broker.baseline == baseline(broker)
    broker.start(broker.baseline | {"message_size_limit": 77})
    (kept,) = originals(tmp_path)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert unit.knob_file.read_bytes() != own
    broker.stop()
    again = unit.broker(tmp_path / "originals")  # a later run: what is there is ours, and not the operator's
    assert again.baseline == baseline(again)
    again.start(again.baseline)
    again.stop()
    again.restore()
    assert unit.knob_file.read_bytes() == own
    assert stat.S_IMODE(unit.knob_file.stat().st_mode) == 0o640
    assert left(tmp_path) == []


def test_nothing_is_touched_where_the_process_has_the_config(mosquitto: Path, make_unit: MakeUnit, tmp_path: Path) -> None:
    unit = make_unit(mosquitto)
    time.sleep(2.1)  # what is younger than the process counts as not read; the clock of /proc is rounded
    unit.service().restart(10, lambda _: None)
    assert eventually(unit.serves)
    pid = unit.pid
    broker = unit.broker(tmp_path / "originals")
    applied = broker.start(broker.baseline)
    assert (applied.how, applied.pid) == ("none", pid)
    assert not unit.knob_file.exists()
    assert broker.apply(broker.baseline | {"autosave_interval": 60}).how == "reload"
    assert unit.pid == pid


def test_a_reload_that_the_broker_ignores_fails_although_the_command_succeeds(
    mosquitto: Path, make_unit: MakeUnit, tmp_path: Path
) -> None:
    unit = make_unit(mosquitto)
    broker = unit.broker(tmp_path / "originals", reload_stable_s=0.5)
    broker.start(broker.baseline)
    good = unit.knob_file.read_bytes()
    unit.misbehave("ignore reload")
    with pytest.raises(ApplyFailed, match=r"did not react to the reload.*the knobs before are back in force") as raised:
        broker.apply(broker.baseline | {"message_size_limit": 5000})
    assert raised.value.restored is not None
    assert unit.knob_file.read_bytes() == good
    assert broker.status().knobs == broker.baseline


def test_a_reload_of_a_broken_config_is_told_in_the_brokers_words(mosquitto: Path, make_unit: MakeUnit, tmp_path: Path) -> None:
    unit = make_unit(mosquitto)
    broker = unit.broker(tmp_path / "originals")
    broker.start(broker.baseline)
    unit.misbehave("break reload")
    extra = unit.conf_d / "a.conf"
    with pytest.raises(ApplyFailed, match=r"no_such_word.*could not be put back"):
        broker.apply(broker.baseline | {"message_size_limit": 5000})
    assert broker.status().state == "failed"
    assert not broker.alive()
    extra.unlink()
    assert broker.revive().how == "restart"
    assert broker.status().knobs == broker.baseline


def test_a_restart_that_is_none(mosquitto: Path, make_unit: MakeUnit, tmp_path: Path) -> None:
    unit = make_unit(mosquitto)
    broker = unit.broker(tmp_path / "originals", restart_stable_s=1.0)
    broker.start(broker.baseline)
    pid = unit.pid
    unit.misbehave("ignore restart")
    with pytest.raises(ApplyFailed, match=f"the restart command did not restart it: process {pid} still runs"):
        broker.apply(broker.baseline | {"max_inflight_messages": 9})
    unit.misbehave("fail restart")
    with pytest.raises(ApplyFailed, match=r"restart: exit code 4: fake: no restart today"):
        broker.apply(broker.baseline | {"max_inflight_messages": 9})
    unit.misbehave("")
    assert broker.apply(broker.baseline | {"max_inflight_messages": 9}).how == "restart"


def test_knobs_that_kill_it_are_taken_back(every_mosquitto: Path, make_unit: MakeUnit, tmp_path: Path) -> None:
    unit = make_unit(every_mosquitto)
    broker = unit.broker(tmp_path / "originals")
    broker.start(broker.baseline)
    with pytest.raises(ApplyFailed) as raised:
        broker.apply(broker.baseline | {"memory_limit": 1000, "max_inflight_messages": 9})
    assert raised.value.restored is not None
    assert broker.alive()
    assert broker.status().knobs == broker.baseline
    assert "memory_limit 0\n" in unit.knob_file.read_text()


def test_without_a_pid_a_client_that_is_cut_proves_the_restart(mosquitto: Path, make_unit: MakeUnit, tmp_path: Path) -> None:
    unit = make_unit(mosquitto)
    broker = unit.broker(tmp_path / "originals", "restart", restart_stable_s=2.0)  # no reload, no status, no log, no pid
    applied = broker.start(broker.baseline | {"message_size_limit": 5000})
    assert applied.pid == 0
    assert {"process not known", f"owner of port {unit.port} not visible", "log not readable"} <= set(applied.checks)
    assert broker.alive()
    assert broker.apply(broker.baseline).how == "restart", "nothing else could be proven"
    unit.misbehave("ignore restart")
    with pytest.raises(ApplyFailed, match="a client from before is still connected"):
        broker.apply(broker.baseline | {"message_size_limit": 6000})


def test_somebody_elses_restart_is_noticed_and_taken_over(mosquitto: Path, make_unit: MakeUnit, tmp_path: Path) -> None:
    unit = make_unit(mosquitto)
    broker = unit.broker(tmp_path / "originals")
    first = broker.start(broker.baseline | {"max_inflight_messages": 9})
    unit.stop()
    unit.start()
    assert not broker.alive()
    assert broker.status().outside
    assert f"restarted from outside (PID {unit.pid})" in broker.status().error
    applied = broker.revive()
    assert (applied.how, applied.old_pid, applied.pid) == ("none", first.pid, unit.pid)
    status = broker.status()
    assert (status.state, status.pid, status.restarts, status.outside) == ("listening", unit.pid, 1, False)
    assert broker.alive()


def test_one_that_has_died_is_restarted_once(mosquitto: Path, make_unit: MakeUnit, tmp_path: Path) -> None:
    unit = make_unit(mosquitto)
    broker = unit.broker(tmp_path / "originals")
    broker.start(broker.baseline)
    unit.kill()
    assert not broker.alive()
    assert broker.status().state == "failed"
    assert broker.revive().how == "restart"
    assert broker.status().restarts == 1


def test_one_that_was_stopped_on_purpose_stays_so(
    mosquitto: Path, make_unit: MakeUnit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = make_unit(mosquitto)
    service = unit.service()
    broker = unit.broker(tmp_path / "originals", service=service)
    broker.start(broker.baseline)
    unit.stop()
    monkeypatch.setattr(service, "look", lambda: Look(False, None, stopped_on_purpose=True))  # as systemd can tell
    assert not broker.alive()
    attempts: tuple[Callable[[], Applied], ...] = (
        broker.revive,
        lambda: broker.apply(broker.baseline | {"max_inflight_messages": 9}),
    )
    for attempt in attempts:
        with pytest.raises(BrokerStopped, match="was stopped by somebody"):
            attempt()
    assert unit.pid is None
    assert "max_inflight_messages 9" not in unit.knob_file.read_text()
    assert broker.status().outside


def test_what_stands_in_the_way_is_said_before_anything_is_touched(
    mosquitto: Path, make_unit: MakeUnit, tmp_path: Path
) -> None:
    unit = make_unit(mosquitto)
    unit.main.write_text(f"listener {unit.port} 127.0.0.1\nallow_anonymous true\nuser root\n")
    broker = unit.broker(tmp_path / "originals")
    with pytest.raises(NotReady, match=f"does not include {unit.conf_d}; mend it with: echo .*include_dir.*sudo tee -a"):
        broker.start(defaults(broker.version))
    unit.main.write_text(f"listener {unit.port} 127.0.0.1\ninclude_dir {unit.conf_d}\nmax_queued_bytes 7\n")
    with pytest.raises(
        NotReady, match=rf"{unit.main}:3 sets max_queued_bytes, is read after .*: line 3 of .* moved above its include_dir"
    ):
        broker.start(defaults(broker.version))
    wrong_port = unit.broker(tmp_path / "originals", port=1)
    unit.main.write_text(f"listener {unit.port} 127.0.0.1\ninclude_dir {unit.conf_d}\n")
    with pytest.raises(NotReady, match=rf"no listener on port 1; it has {unit.port} \(MQTT on 127\.0\.0\.1\)"):
        wrong_port.start(defaults(broker.version))
    unit.main.write_text(f"listener {unit.port} 127.0.0.1\ninclude_dir {unit.conf_d}\nmemory_limit 5000000000\n")
    with pytest.raises(NotReady, match=r":3: memory_limit 5000000000: the tuner goes up to"):
        unit.broker(tmp_path / "originals").start(defaults(broker.version))
    assert list(unit.conf_d.iterdir()) == []
    assert not (tmp_path / "originals").exists()


def test_all_problems_are_said_at_once(mosquitto: Path, make_unit: MakeUnit, tmp_path: Path) -> None:
    unit = make_unit(mosquitto)
    unit.main.write_text(f"listener {unit.port} 127.0.0.1\n")
    unit.stop()
    with pytest.raises(NotReady) as raised:
        unit.broker(tmp_path / "originals").start(defaults((2, 0, 11)))
    assert len(raised.value.problems) == 2
    assert "the broker does not run" in str(raised.value)
    assert "does not include" in str(raised.value)


def test_a_program_that_is_not_there(mosquitto: Path, make_unit: MakeUnit, tmp_path: Path) -> None:
    unit = make_unit(mosquitto)
    service = unit.service(restart=["no-such-program", "now"])
    with pytest.raises(NotReady, match=r"broker\.command\.restart: no-such-program is not there"):
        unit.broker(tmp_path / "originals", service=service).start(defaults((2, 0, 11)))


def test_one_tuner_at_a_time(mosquitto: Path, make_unit: MakeUnit, tmp_path: Path) -> None:
    unit = make_unit(mosquitto)
    broker = unit.broker(tmp_path / "originals")
    broker.start(broker.baseline)
    other = unit.broker(tmp_path / "others")
    with pytest.raises(TunerError, match="another tuner is at work on"):
        other.start(broker.baseline)
    with pytest.raises(TunerError, match="another tuner is at work on"):
        unit.broker(tmp_path / "originals").restore()
    broker.stop()
    other.start(broker.baseline)
    other.stop()


def test_what_somebody_else_wrote_since_is_not_overwritten(mosquitto: Path, make_unit: MakeUnit, tmp_path: Path) -> None:
    unit = make_unit(mosquitto)
    broker = unit.broker(tmp_path / "originals")
    broker.start(broker.baseline)
    broker.stop()
    edited = unit.knob_file.read_bytes() + b"max_queued_messages 12\n"
    unit.knob_file.write_bytes(edited)
    with pytest.raises(UsageError, match="was changed by somebody else since"):
        broker.restore()
    assert unit.knob_file.read_bytes() == edited
    again = unit.broker(tmp_path / "originals")
    assert again.baseline["max_queued_messages"] == 12
    again.start(again.baseline)
    again.stop()
    assert len(originals(tmp_path)) == 2, "the older original is kept, too"
    again.restore()
    assert unit.knob_file.read_bytes() == edited
