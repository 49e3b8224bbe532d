"""Knobs are tried on a Mosquitto that nobody uses: what it refuses never reaches the broker, and nothing is left of the try."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from brokertuner_tui.broker.find import probe_version
from brokertuner_tui.broker.interface import ApplyFailed
from brokertuner_tui.broker.pretest import TESTS_ITSELF, Line, PreTest, Refused
from brokertuner_tui.knobs.catalogue import Value, defaults
from tests.broker.conftest import MakeBroker
from tests.broker.fake_units import FakeUnit

TEMPORARY = ("pretest", ".pretest")


@pytest.fixture
def unit(every_mosquitto: Path, tmp_path: Path) -> Iterator[FakeUnit]:
    made = FakeUnit(tmp_path / "unit", every_mosquitto, included="persistence true\n")
    made.start()
    yield made
    made.stop()


def tried(pretest: PreTest, knobs: dict[str, Value]) -> str:
    with pretest.begin(knobs) as attempt:
        return attempt.result()


def children() -> int:
    return sum("reaper.py" not in " ".join(child.cmdline()) for child in psutil.Process().children())


def test_accepted_refused_and_nothing_left(every_mosquitto: Path, tmp_path: Path) -> None:
    folder = tmp_path / "try"
    pretest = PreTest(every_mosquitto, probe_version(every_mosquitto), folder)
    usual = defaults(probe_version(every_mosquitto))
    assert tried(pretest, usual | {"persistence": True, "max_inflight_messages": 7}) == "pre-test"
    assert not folder.exists()
    with pytest.raises(Refused, match="memory_limit 1000 may be less than the broker itself needs"):
        tried(pretest, usual | {"memory_limit": 1000})
    assert not folder.exists()
    assert children() == 0


def test_what_was_accepted_is_not_tried_again(every_mosquitto: Path, tmp_path: Path) -> None:
    script, count = tmp_path / "mosquitto", tmp_path / "count"
    script.write_text(f'#!/bin/sh\necho x >> {count}\nexec {every_mosquitto} "$@"\n')
    script.chmod(0o755)
    version = probe_version(every_mosquitto)
    pretest = PreTest(script, version, tmp_path / "try")
    usual = defaults(version)
    for changed, runs in (({}, 1), ({}, 1), ({"autosave_interval": 60}, 2), ({}, 2), ({"autosave_interval": 60}, 2)):
        assert tried(pretest, usual | changed) == "pre-test"
        assert count.read_text().count("x") == runs
    pretest.proven(usual | {"autosave_interval": 61})
    tried(pretest, usual | {"autosave_interval": 61})
    assert count.read_text().count("x") == 2, "the broker itself runs with it"


def test_a_config_that_is_broken_elsewhere_is_found_before_anything_is_touched(every_mosquitto: Path, tmp_path: Path) -> None:
    lines = [Line(b"# the operator's", "/etc/m.conf:1"), Line(b"bogus 1", "/etc/m.conf:2")]
    version = probe_version(every_mosquitto)
    told = PreTest(every_mosquitto, version, tmp_path / "try", lambda knobs: lines)
    if version >= TESTS_ITSELF:
        with pytest.raises(Refused, match=r"Unknown configuration variable 'bogus'.*/etc/m\.conf:2"):
            tried(told, defaults(version))
    else:
        assert tried(told, defaults(version)) == "pre-test", "before 2.1 only the knobs are tried"


def test_one_that_hangs_is_no_verdict(mosquitto: Path, tmp_path: Path) -> None:
    script = tmp_path / "mosquitto"
    script.write_text("#!/bin/sh\nexec sleep 600\n")
    script.chmod(0o755)
    pretest = PreTest(script, (2, 0, 21), tmp_path / "try", within_s=0.3)
    assert tried(pretest, defaults((2, 0, 21))) == "no pre-test: it did not end in time"
    assert children() == 0


def test_a_broker_of_our_own_is_not_touched_by_what_the_pre_test_refuses(
    every_mosquitto: Path, make_broker: MakeBroker
) -> None:
    broker = make_broker(every_mosquitto)
    usual = broker.baseline
    pid = broker.start(usual).pid
    before = (broker.folder / "conf.d" / "broker_tuner.conf").read_bytes()
    with pytest.raises(ApplyFailed, match=r"the pre-test failed: .*the knobs before are still in force") as raised:
        broker.apply(usual | {"memory_limit": 1000})
    assert raised.value.restored is not None
    assert (raised.value.restored.how, broker.status().pid) == ("none", pid)
    assert (broker.folder / "conf.d" / "broker_tuner.conf").read_bytes() == before
    assert broker.last_good == usual
    assert not (broker.folder / "intent.json").exists()
    applied = broker.apply(usual | {"message_size_limit": 5000})
    assert applied.checks[0] == "pre-test"
    assert applied.pretest_s > 0
    assert not (broker.folder / "pretest").exists()


def test_the_operators_config_is_tried_whole_and_its_files_are_left_alone(unit: FakeUnit, tmp_path: Path) -> None:
    """`--test-config` saves a database when it ends: never over the operator's."""
    broker = unit.broker(tmp_path / "originals")
    broker.start(broker.baseline)
    database = unit.folder / "mosquitto.db"
    database.write_bytes(b"the operator's sessions")
    before = database.stat()
    applied = broker.apply(broker.baseline | {"message_size_limit": 5000})
    assert (applied.how, applied.checks[0]) == ("reload", "pre-test")
    assert (database.read_bytes(), database.stat().st_mtime_ns) == (b"the operator's sessions", before.st_mtime_ns)
    database.unlink()
    assert not [path for path in (tmp_path / "originals").iterdir() if path.name.endswith(TEMPORARY)]
    broker.stop()


def test_without_the_program_there_is_none_and_that_is_said(unit: FakeUnit, tmp_path: Path) -> None:
    broker = unit.broker(tmp_path / "originals", program=None)
    broker.start(broker.baseline)
    applied = broker.apply(broker.baseline | {"message_size_limit": 5000})
    assert applied.checks[0] == "no pre-test: its program is not on this machine"
    assert applied.pretest_s == 0
    broker.stop()


def test_a_config_that_cannot_be_read_is_left_out(tmp_path: Path, mosquitto: Path) -> None:
    def unreadable(_: bytes) -> list[Line]:
        raise PermissionError(13, os.strerror(13))

    version = probe_version(mosquitto)
    assert tried(PreTest(mosquitto, version, tmp_path / "try", unreadable), defaults(version)) == "pre-test"
