"""How much of the machine its host kept."""

from __future__ import annotations

import time
from types import SimpleNamespace

import psutil
import pytest

from brokertuner_tui.telemetry.stolen import Stolen


class _Times(SimpleNamespace):
    _fields = ("user", "nice", "system", "idle", "steal", "guest", "guest_nice")


def _tells(monkeypatch: pytest.MonkeyPatch, *moments: object) -> None:
    left = iter(moments)
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(left))


def test_the_share_of_all_that_there_was_since_then(monkeypatch: pytest.MonkeyPatch) -> None:
    before = _Times(user=100.0, nice=0.0, system=50.0, idle=800.0, steal=10.0, guest=70.0, guest_nice=0.0)
    after = _Times(user=104.0, nice=1.0, system=51.0, idle=802.0, steal=12.0, guest=73.0, guest_nice=1.0)
    _tells(monkeypatch, before, after, before)
    stolen = Stolen()
    assert stolen.share() == pytest.approx(2 / 10)
    assert stolen.share() == 0.0, "a clock that goes back says nothing"


def test_no_time_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = _Times(user=1.0, nice=0.0, system=0.0, idle=0.0, steal=0.0, guest=0.0, guest_nice=0.0)
    _tells(monkeypatch, now, now)
    assert Stolen().share() == 0.0


def test_a_system_that_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    _tells(monkeypatch, *[SimpleNamespace(user=1.0, _fields=("user",))] * 2)
    assert Stolen().share() is None


def test_on_this_machine() -> None:
    stolen = Stolen()
    time.sleep(0.05)
    share = stolen.share()
    assert share is not None
    assert 0.0 <= share <= 1.0
