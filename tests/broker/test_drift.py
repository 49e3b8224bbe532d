"""What others do to a broker's config, process and log is noticed, never written over unasked, and settled when asked."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from brokertuner_tui.broker import drift as drift_module
from brokertuner_tui.broker.drift import Content, FileWatch, is_proposal, knob_differences
from brokertuner_tui.broker.external import ExternalBroker
from brokertuner_tui.broker.interface import ApplyFailed, BrokerDrifted, Difference
from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import NAMES
from tests.broker.conftest import MakeBroker
from tests.broker.fake_units import FakeUnit
from tests.waiting import eventually

MakeUnit = Callable[..., FakeUnit]
NOBODY = 65534


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


@pytest.fixture
def managed(mosquitto: Path, make_broker: MakeBroker) -> ManagedBroker:
    """One that has been changed once, so that its knob file is not the first one."""
    broker = make_broker(mosquitto)
    broker.start(broker.baseline)
    broker.apply(broker.baseline | {"message_size_limit": 5000})
    return broker


@pytest.fixture
def unit(mosquitto: Path, make_unit: MakeUnit) -> FakeUnit:
    return make_unit(mosquitto, included="max_queued_messages 500\n")


@pytest.fixture
def external(unit: FakeUnit, tmp_path: Path) -> Iterator[ExternalBroker]:
    broker = unit.broker(tmp_path / "originals")
    broker.start(broker.baseline | {"message_size_limit": 5000})
    yield broker
    broker.stop()


def knob_file(broker: ManagedBroker) -> Path:
    return broker.folder / "conf.d" / "broker_tuner.conf"


def edit(path: Path, old: str, new: str) -> bytes:
    """As an editor does: in place; gives what is there now."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path.read_bytes()


def pid_of(broker: ManagedBroker | ExternalBroker) -> int:
    pid = broker.status().pid
    assert pid is not None
    return pid


def by_name(found: tuple[Difference, ...]) -> dict[str, tuple[str, str]]:
    return {one.name or one.what: (one.ours, one.theirs) for one in found}


def test_nothing_of_ours_is_ever_seen_as_drift(every_mosquitto: Path, make_broker: MakeBroker) -> None:
    broker = make_broker(every_mosquitto)
    assert broker.drift() == (), "not started"
    usual = broker.start(broker.baseline).knobs
    for knobs in ({"message_size_limit": 77}, {"max_inflight_messages": 7}, {"max_packet_size": 100_000}, {}):
        broker.apply({**usual, **knobs})
        assert broker.drift(ask=True) == (), knobs
    with pytest.raises(ApplyFailed):  # put back by a restart
        broker.apply({**usual, "memory_limit": 100})
    assert broker.drift(ask=True) == ()
    broker.restart()
    assert broker.drift(ask=True) == ()
    os.kill(pid_of(broker), signal.SIGKILL)
    assert eventually(lambda: not broker.alive())
    assert broker.drift(ask=True) == (), "dead on its own"
    broker.restart()
    assert broker.drift(ask=True) == (), "brought back by us"
    path = knob_file(broker)
    os.utime(path)
    assert broker.drift() == ()
    path.write_bytes(path.read_bytes())
    assert broker.drift() == ()
    shutil.copy(path, path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)
    assert broker.drift() == (), "another file with the same content"
    assert broker.apply({**usual, "message_size_limit": 78}).how == "reload"


def test_an_edit_is_shown_knob_by_knob_and_never_written_over(managed: ManagedBroker) -> None:
    path, pid = knob_file(managed), pid_of(managed)
    theirs = edit(path, "message_size_limit 5000", "message_size_limit 60")
    found = managed.drift()
    assert by_name(found)["message_size_limit"] == ("5000", "60")
    assert by_name(found).keys() == {"message_size_limit", str(path)}
    assert managed.status().drift == found
    changes: tuple[Callable[[], object], ...] = (lambda: managed.apply(managed.baseline), managed.restart)
    for change in changes:
        with pytest.raises(BrokerDrifted, match=r"message_size_limit: 5000 -> 60.*nothing was written") as raised:
            change()
        assert raised.value.differences == found
    assert (path.read_bytes(), pid_of(managed)) == (theirs, pid)
    accepted = managed.accept()
    assert (accepted.how, accepted.knobs["message_size_limit"], accepted.pid) == ("reload", 60, pid)
    assert "message_size_limit 60" in accepted.checks
    assert managed.drift(ask=True) == managed.status().drift == ()
    assert path.read_bytes() == theirs, "accepting writes nothing"
    assert managed.apply(managed.baseline).how == "reload"


def test_an_edit_that_comes_while_nobody_looked_is_not_written_over(managed: ManagedBroker) -> None:
    path = knob_file(managed)
    assert managed.drift() == ()
    theirs = edit(path, "message_size_limit 5000", "message_size_limit 5001")
    with pytest.raises(BrokerDrifted):
        managed.apply(managed.baseline)
    assert path.read_bytes() == theirs


def test_an_edit_that_takes_a_restart(every_mosquitto: Path, make_broker: MakeBroker) -> None:
    broker = make_broker(every_mosquitto)
    broker.start(broker.baseline)
    edit(knob_file(broker), "max_inflight_messages 20", "max_inflight_messages 9")
    os.kill(pid_of(broker), signal.SIGHUP)  # is not enough for this one
    assert by_name(broker.drift())["max_inflight_messages"] == ("20", "9")
    accepted = broker.accept()
    assert accepted.how == "restart"
    assert "Receive Maximum 9" in accepted.checks
    assert broker.drift(ask=True) == ()
    edit(knob_file(broker), "max_inflight_messages 9", "max_inflight_messages 8")
    again = broker.reclaim()
    assert "Receive Maximum 9" in again.checks
    assert "max_inflight_messages 9\n" in knob_file(broker).read_text()
    assert broker.drift(ask=True) == ()


def test_a_reload_by_somebody_else(managed: ManagedBroker) -> None:
    os.kill(pid_of(managed), signal.SIGHUP)
    assert eventually(lambda: bool(managed.drift()))
    assert [one.what for one in managed.drift()] == ["reload"]
    with pytest.raises(BrokerDrifted, match="reloaded once by somebody else"):
        managed.apply(managed.baseline)
    assert managed.accept().how == "none", "its files are as we left them"
    assert managed.drift() == ()


def test_an_edit_and_a_reload(managed: ManagedBroker) -> None:
    edit(knob_file(managed), "message_size_limit 5000", "message_size_limit 60")
    os.kill(pid_of(managed), signal.SIGHUP)
    assert eventually(lambda: "reload" in by_name(managed.drift()))
    assert by_name(managed.drift())["message_size_limit"] == ("5000", "60")
    reclaimed = managed.reclaim()
    assert reclaimed.knobs["message_size_limit"] == 5000
    assert "message_size_limit 5000\n" in knob_file(managed).read_text()
    assert managed.drift(ask=True) == ()


def test_the_file_is_gone_a_link_or_no_file_at_all(managed: ManagedBroker, tmp_path: Path) -> None:
    path = knob_file(managed)
    ours = path.read_bytes()
    path.unlink()
    assert by_name(managed.drift())[str(path)][1] == "no file"
    assert by_name(managed.drift())["message_size_limit"] == ("5000", "0")
    managed.reclaim()
    assert path.read_bytes() == ours

    target = tmp_path / "theirs.conf"
    target.write_bytes(ours)
    path.unlink()
    path.symlink_to(target)
    assert "by a link" in by_name(managed.drift())[str(path)][1], "also where the content is the same"
    target.write_text("message_size_limit 60\n")
    theirs = target.read_bytes()
    with pytest.raises(BrokerDrifted):
        managed.apply(managed.baseline)
    managed.reclaim()
    assert (path.is_symlink(), path.read_bytes()) == (False, ours)
    assert target.read_bytes() == theirs, "what the link led to is not ours to write"

    path.unlink()
    os.mkfifo(path)
    assert by_name(managed.drift())[str(path)][1] == "no plain file"  # and nobody waits for a writer
    with pytest.raises(BrokerDrifted):
        managed.restart()
    path.unlink()
    path.write_bytes(ours)
    assert managed.drift() == (), "put back by whoever it was"


def test_a_file_that_may_not_be_read_any_more() -> None:
    folder = Path(tempfile.mkdtemp(prefix="bt-drift-"))  # tmp_path is for its owner alone
    try:
        folder.chmod(0o755)
        path = folder / "knobs.conf"
        path.write_text("message_size_limit 60\n")
        watch = FileWatch(path)
        path.chmod(0)
        assert _as_nobody(lambda: str(watch.difference())).endswith("cannot be read: Permission denied")
    finally:
        shutil.rmtree(folder)


def _as_nobody(work: Callable[[], str]) -> str:
    """What `work` gives, in a child that is not root."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            os.write(write, work().encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    return said


def test_what_we_are_about_to_write_is_ours_at_every_moment(tmp_path: Path) -> None:
    path = tmp_path / "knobs.conf"
    path.write_text("old")
    watch = FileWatch(path)
    watch.writing(b"new")
    assert watch.difference() is None, "before the rename"
    path.write_text("new")
    assert watch.difference() is None, "after it"
    watch.wrote()
    assert watch.difference() is None
    path.write_text("old")
    assert watch.difference() is not None, "put back by somebody"
    path.write_text("new")
    assert watch.difference(closely=True) is None
    for data in (b"one", b"another", b"one"):
        watch.writing(data)  # and the disk is full, again and again
    assert watch.difference() is None
    path.write_text("theirs")
    found = watch.difference()
    assert found is not None
    assert found.ours == Content.of(b"new").words, "what was never written is not what was left there"


def test_the_operators_own_files(unit: FakeUnit, external: ExternalBroker) -> None:
    assert external.drift(ask=True) == ()
    edit(unit.main, "# the operator's", "# the operator's, with a remark")
    assert by_name(external.drift()).keys() == {str(unit.main)}, "no knob is another one"
    main = unit.main.read_bytes()
    external.reclaim()
    assert unit.main.read_bytes() == main, "the operator's own is never written"
    assert external.drift() == ()

    above = unit.conf_d / "a_operator.conf"
    edit(above, "500", "501")
    assert by_name(external.drift()).keys() == {str(above)}, "ours wins over it"
    external.accept()

    below = unit.conf_d / "zz_operator.conf"
    below.write_text("autosave_interval 3\nmessage_size_limit 60\n")
    found = by_name(external.drift())
    assert found["autosave_interval"] == ("1800", "3")
    assert found[str(below)][0] == "no file"
    with pytest.raises(TunerError, match=r"zz_operator.conf:1 sets autosave_interval.*take that line away"):
        external.reclaim()
    accepted = external.accept()  # both take a reload only
    assert (accepted.how, accepted.knobs["autosave_interval"], accepted.knobs["message_size_limit"]) == ("reload", 3, 60)
    below.unlink()
    assert by_name(external.drift())["autosave_interval"] == ("3", "1800")


def test_somebodys_restart_with_the_same_config_is_taken_over(unit: FakeUnit, external: ExternalBroker) -> None:
    unit.stop()
    unit.start()
    assert not external.alive()
    assert external.drift(ask=True) == ()
    taken = external.revive()
    assert (taken.how, taken.pid) == ("none", unit.pid)
    assert external.drift(ask=True) == ()


def test_somebodys_restart_with_another_config(unit: FakeUnit, external: ExternalBroker) -> None:
    theirs = edit(unit.knob_file, "max_inflight_messages 20", "max_inflight_messages 9")
    with pytest.raises(TunerError, match=r"max_inflight_messages: .* takes a restart .* or keep ours"):
        external.accept()
    old = pid_of(external)
    time.sleep(0.1)  # /proc tells when a process began to the hundredth of a second
    unit.stop()
    unit.start()
    found = by_name(external.drift())
    assert found["max_inflight_messages"] == ("20", "9")
    assert found["process"] == (f"process {old}", f"process {unit.pid}")
    with pytest.raises(BrokerDrifted):
        external.revive()
    assert unit.knob_file.read_bytes() == theirs
    accepted = external.accept()
    assert (accepted.how, accepted.pid, accepted.old_pid) == ("none", unit.pid, old)
    assert "Receive Maximum 9" in accepted.checks
    assert external.drift(ask=True) == ()
    edit(unit.knob_file, "max_inflight_messages 9", "max_inflight_messages 8")
    reclaimed = external.reclaim()
    assert "Receive Maximum 9" in reclaimed.checks
    assert external.drift(ask=True) == ()


def test_values_in_force_that_no_file_shows_are_asked_for(unit: FakeUnit, external: ExternalBroker) -> None:
    ours = unit.knob_file.read_bytes()
    edit(unit.knob_file, "max_inflight_messages 20", "max_inflight_messages 9")
    unit.stop()
    unit.start()
    unit.knob_file.write_bytes(ours)
    assert external.drift() == (), "every file is as we left it"
    with pytest.raises(BrokerDrifted, match="max_inflight_messages: 20 -> 9"):
        external.revive()
    assert by_name(external.drift())["max_inflight_messages"] == ("20", "9")
    assert "Receive Maximum 20" in external.reclaim().checks
    assert external.drift(ask=True) == ()


def test_a_rotation_of_the_log_is_no_drift(
    mosquitto: Path, make_unit: MakeUnit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "broker.log"
    unit = make_unit(mosquitto, main=f"log_dest file {log}\nlog_type all")
    broker = unit.broker(tmp_path / "originals", "restart", "reload", "status", "pid")
    broker.start(broker.baseline)
    assert broker.log_path == log
    log.rename(tmp_path / "broker.log.1")  # logrotate: the broker writes on to the old one, until it is told
    os.kill(pid_of(broker), signal.SIGHUP)
    assert eventually(log.exists)
    assert broker.drift() == ()
    assert broker.apply(broker.baseline | {"message_size_limit": 60}).how == "reload"
    shutil.copy(log, tmp_path / "broker.log.2")  # logrotate, copytruncate
    os.truncate(log, 0)
    os.kill(pid_of(broker), signal.SIGHUP)
    assert eventually(lambda: b"Reloading config." in log.read_bytes())
    assert broker.drift() == ()
    monkeypatch.setattr(drift_module, "_ROTATED_S", 0.0)
    os.kill(pid_of(broker), signal.SIGHUP)
    assert eventually(lambda: "reload" in by_name(broker.drift())), "long after a rotation it is somebody's"
    broker.stop()


def test_a_reload_is_seen_in_a_log_that_takes_a_command(external: ExternalBroker) -> None:
    began = time.monotonic()
    os.kill(pid_of(external), signal.SIGHUP)
    assert eventually(lambda: "reload" in by_name(external.drift()), 20.0)
    assert time.monotonic() - began < 10.0


def test_what_cannot_be_a_config_is_told_and_can_be_taken_back(managed: ManagedBroker) -> None:
    path = knob_file(managed)
    path.write_text("persistence maybe\n")
    assert any("persistence maybe" in one.theirs for one in managed.drift())
    with pytest.raises(TunerError, match="persistence maybe"):
        managed.accept()
    path.write_text("bogus 1\n")
    with pytest.raises(ApplyFailed, match=r"does not run with what is there now: .*bogus"):
        managed.accept()
    assert path.read_text() == "bogus 1\n"
    assert managed.drift() != (), "that is not settled"
    assert managed.reclaim().knobs["message_size_limit"] == 5000
    assert managed.drift(ask=True) == ()


def test_what_a_person_applied_by_hand(managed: ManagedBroker) -> None:
    ours = managed.status().knobs
    assert ours is not None
    proposal = {**ours, "message_size_limit": 60, "persistence": not ours["persistence"]}
    assert is_proposal(knob_differences(ours, proposal), ours, proposal)
    assert is_proposal((*knob_differences(ours, proposal), Difference("reload", "", "a", "b")), ours, proposal)
    assert not is_proposal(knob_differences(ours, {**proposal, "message_size_limit": 61}), ours, proposal)
    assert not is_proposal(knob_differences(ours, proposal)[:1], ours, proposal)
    assert not is_proposal((), ours, dict(ours))
    assert set(proposal) == set(NAMES)
