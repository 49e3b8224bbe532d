"""Row 24: the wall clock jumps."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.faults.catalogue import row
from tests.faults.conftest import StartTuner
from tests.faults.sessions import stub


def faked(now: Path) -> dict[str, str]:
    """The environment of a process whose wall clock is what the file `now` says."""
    found = sorted(Path("/usr").glob("lib*/**/faketime/libfaketimeMT.so.1"))
    if not found:
        pytest.skip("no libfaketime here: apt-get install faketime (.ci/run does)")
    return {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(now),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@row(24)
def test_an_hour_either_way(tuner: StartTuner, mosquitto: Path, tmp_path: Path) -> None:
    now = tmp_path / "now"
    now.write_text("+0s\n")
    program = tuner(
        "--total-timesteps",
        "8",
        "--max-seconds",
        "300",
        more=faked(now),
        mosquitto=stub(tmp_path / "stub" / "mosquitto", mosquitto, "unset LD_PRELOAD"),
    )
    first = program.wait_for("trial")
    now.write_text("+1h\n")
    late = program.wait_for("trial", lambda line: line["at"] > first["at"] + 3000)
    now.write_text("-1h\n")
    early = program.wait_for("trial", lambda line: line["at"] < first["at"] - 3000)
    assert first["trial"] < late["trial"] < early["trial"]
    now.write_text("+0s\n")
    assert program.wait() == 0, program.errors
    trials, summary = program.of("trial"), program.of("summary")[0]
    assert [line["trial"] for line in trials] == list(range(1, 9)), "in order, whatever the clock said"
    assert all(line["verdict"] == "ok" for line in trials), [line["reason"] for line in trials]
    assert all(0 <= seconds < 30 for line in trials for seconds in line["timings"].values())
    assert summary["state"] == "completed"
    assert 0 < summary["seconds"] < 300
    assert any(abs(later["at"] - earlier["at"]) > 3000 for earlier, later in itertools.pairwise(trials)), "it did jump"
    assert not [line for line in program.of("broker") if line["state"] != "ready"]
