"""What doctor says of other tuners: at work, gone, killed in the middle of a change."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from brokertuner_tui.broker.intent import LastGood
from brokertuner_tui.broker.knob_file import KnobFile
from brokertuner_tui.config.settings import StoreSettings
from brokertuner_tui.doctor import leftovers
from brokertuner_tui.doctor.finding import Finding, Level
from brokertuner_tui.knobs.catalogue import defaults
from brokertuner_tui.process import registry
from brokertuner_tui.process.lock import at_work
from brokertuner_tui.store.store import Store

KNOBS = defaults((2, 0, 21))


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


@pytest.fixture
def file(tmp_path: Path) -> KnobFile:
    (tmp_path / "conf.d").mkdir()
    return KnobFile(tmp_path / "conf.d" / "broker_tuner.conf", tmp_path / "originals")


def test_nobody_has_the_broker_and_nothing_is_left(file: KnobFile) -> None:
    found = by_name(list(leftovers.tuner(file)))
    assert {name: finding.level for name, finding in found.items()} == {"tuner": Level.OK, "last change": Level.OK}
    assert not file.kept.parent.exists(), "looking leaves nothing"


def test_whoever_has_the_broker_is_named_and_keeps_it(file: KnobFile, tmp_path: Path) -> None:
    at_work(run="20261121-071203-a3f", save_dir=tmp_path)
    file.lock()
    try:
        LastGood(file.intent).starts_with(KNOBS)
        found = by_name(list(leftovers.tuner(file)))
        again = KnobFile(file.path, tmp_path / "originals")
        assert again.holder() == file.holder() is not None
    finally:
        file.unlock()
        at_work(run="", save_dir=tmp_path)
    assert found["tuner"].level is Level.WARNING
    assert f"process {os.getpid()} since" in found["tuner"].says
    assert "run 20261121-071203-a3f" in found["tuner"].says
    assert file.holder() is None


def test_a_change_that_was_never_confirmed(file: KnobFile) -> None:
    good = LastGood(file.intent)
    good.starts_with(KNOBS)
    good.announce(KNOBS, {**KNOBS, "max_inflight_messages": 99})
    found = by_name(list(leftovers.tuner(file)))
    assert found["last change"].level is Level.WARNING
    assert "the change of max_inflight_messages" in found["last change"].says
    assert found["last change"].mend == ("brokertuner-tui runs recover",)
    file.lock()
    try:
        assert by_name(list(leftovers.tuner(file)))["last change"].level is Level.OK, "it is being measured"
    finally:
        file.unlock()
    file.intent.write_text("{")
    assert "not an intent" in by_name(list(leftovers.tuner(file)))["last change"].says


def test_a_session_at_work_is_named(tmp_path: Path) -> None:
    (found,) = leftovers.session(StoreSettings(), tmp_path)
    assert found.level is Level.OK
    with Store.open(tmp_path / "store.db"):
        (found,) = leftovers.session(StoreSettings(), tmp_path)
    assert found.level is Level.WARNING
    assert f"process {os.getpid()}" in found.says


_TUNER = """
import subprocess, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from brokertuner_tui.process import registry
nothing = subprocess.DEVNULL
child = subprocess.Popen(["sleep", "60"], start_new_session=True, stdin=nothing, stdout=nothing, stderr=nothing)
registry.enter(child.pid, ["sleep", "60"], Path("x"))
print(child.pid)
"""


def test_orphans_are_named_with_what_ends_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert [finding.level for finding in leftovers.orphans()] == [Level.OK]
    root = Path(registry.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", _TUNER, str(root)], capture_output=True, text=True, timeout=60, check=True)
    try:
        (found,) = leftovers.orphans()
        assert found.level is Level.WARNING
        assert f"sleep (process {done.stdout.strip()}, of tuner " in found.says
        assert found.mend == ("brokertuner-tui runs recover",)
    finally:
        for orphan in registry.orphans():
            registry.end(orphan.child)
    assert [finding.level for finding in leftovers.orphans()] == [Level.OK]
