"""Row 24: the wall clock jumps."""

from __future__ import annotations

import itertools
from pathlib import Path

from tests.cli.program import ROOT
from tests.faults.catalogue import row
from tests.faults.conftest import StartTuner

CLOCK = """
import time

def skewed():
    with open({file!r}) as file:
        return float(file.read() or 0)

real, real_ns = time.time, time.time_ns
time.time = lambda: real() + skewed()
time.time_ns = lambda: real_ns() + int(1e9 * skewed())
"""
"""In every Python of the tuner's. Not libfaketime: its clock_nanosleep fails (EINVAL) for the way in which Python sleeps."""


def skewed(by_s: Path) -> dict[str, str]:
    """The environment of a tuner whose wall clock is wrong by as many seconds as that file says."""
    own = by_s.parent / "python"
    own.mkdir()
    (own / "sitecustomize.py").write_text(CLOCK.format(file=str(by_s)))
    return {"PYTHONPATH": f"{own}:{ROOT}"}


def put(path: Path, text: str) -> None:
    """Writes it whole."""
    part = path.with_suffix(".part")
    part.write_text(text)
    part.replace(path)


@row(24)
def test_an_hour_either_way(tuner: StartTuner, tmp_path: Path) -> None:
    by_s = tmp_path / "by_s"
    put(by_s, "0")
    program = tuner("--total-timesteps", "8", "--max-seconds", "300", more=skewed(by_s))
    first = program.wait_for("trial")
    put(by_s, "3600")
    late = program.wait_for("trial", lambda line: line["at"] > first["at"] + 3000)
    put(by_s, "-3600")
    early = program.wait_for("trial", lambda line: line["at"] < first["at"] - 3000)
    assert first["trial"] < late["trial"] < early["trial"]
    put(by_s, "0")
    assert program.wait() == 0, program.errors
    trials, summary = program.of("trial"), program.of("summary")[0]
    assert [line["trial"] for line in trials] == list(range(1, 9)), "in order, whatever the clock said"
    assert all(line["verdict"] == "ok" for line in trials), [line["reason"] for line in trials]
    assert all(0 <= seconds < 30 for line in trials for seconds in line["timings"].values())
    assert summary["state"] == "completed"
    assert 0 < summary["seconds"] < 300
    assert any(abs(later["at"] - earlier["at"]) > 3000 for earlier, later in itertools.pairwise(trials)), "it did jump"
    assert not [line for line in program.of("broker") if line["state"] != "ready"]
