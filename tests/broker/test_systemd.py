"""Runs `in_box/systemd_cases.py` inside a container with a real systemd, and tests what of the systemd kind needs none."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from brokertuner_tui.broker.systemd import SystemdService, polkit_rule, seconds

CHECKOUT = Path(__file__).parents[2]
SCRIPT = CHECKOUT / "scripts" / "systemd-box"
BOX = CHECKOUT / ".systemd-box"
CASES = Path(__file__).parent / "in_box" / "systemd_cases.py"


def _missing() -> str:
    """Why there can be no box; empty where there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a container takes root on Linux"
    for tool in ("systemd-nspawn", "nsenter", "pgrep"):
        if shutil.which(tool) is None:
            return f"{tool} is missing (Debian: systemd-container, util-linux, procps)"
    return "" if (BOX / "made").exists() else f"no root file system: {SCRIPT.relative_to(CHECKOUT)} make {BOX.name}"


def _box(*arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, arguments[0], BOX, *arguments[1:]],
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        cwd=CHECKOUT,
    )


@pytest.fixture
def box() -> Iterator[None]:
    """The booted box, for this test alone."""
    if why := _missing():
        pytest.skip(why)
    with open(BOX / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _box("halt")  # what a killed test run has left
        # An interpreter outside /usr (and what it has installed) comes with us; Debian's own is in the box.
        paths = dict.fromkeys(str(path) for path in (CHECKOUT, sys.prefix, sys.base_prefix) if str(path) != "/usr")
        booted = _box("boot", *paths)
        if booted.returncode:
            pytest.skip(f"the box does not boot here: {booted.stderr.strip().splitlines()[-1:]}")
        try:
            works = _box("run", sys.executable, "-B", "-c", "import psutil, pydantic, paho.mqtt, numpy")
            if works.returncode:
                pytest.skip(f"this Python does not run in the box: {works.stderr.strip().splitlines()[-1:]}")
            yield
        finally:
            _box("halt")


def test_all_cases_in_the_box(box: None) -> None:
    environ = [
        "env",
        "BROKERTUNER_TEST_IN_BOX=1",
        "PYTHONDONTWRITEBYTECODE=1",
        f"PYTHONPATH={CHECKOUT}",
        "HOME=/root",
        "PATH=/usr/sbin:/usr/bin",
    ]
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(CHECKOUT), str(CASES)]
    ran = _box("run", *environ, *pytest_, timeout_s=400)
    print(ran.stdout[-20_000:], ran.stderr[-5_000:])
    assert ran.returncode == 0, "see what the box says"


@pytest.mark.parametrize(
    ("span", "expected"),
    [("10s", 10), ("1min 30s", 90), ("500ms", 0.5), ("0", 0), ("infinity", 0), ("", 0), ("1h", 3600)],
)
def test_spans(span: str, expected: float) -> None:
    assert seconds(span) == expected


def test_the_polkit_rule_quotes_what_it_is_given() -> None:
    rule = polkit_rule('odd".service', "o\\n\ny")
    assert 'action.lookup("unit") == "odd\\".service"' in rule
    assert 'subject.user == "o\\\\ny"' in rule


def test_where_there_is_no_systemd(tmp_path: Path) -> None:
    (problem,) = SystemdService("mosquitto", [str(tmp_path / "systemctl")]).problems()
    assert "systemd cannot be asked" in str(problem)
    assert 'broker.kind = "command"' in str(problem)
