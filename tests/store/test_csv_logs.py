"""The CSV files survive crashes, several runs, and other versions of themselves."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest

from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.knobs.catalogue import NAMES
from brokertuner_tui.store.csv_logs import CsvLogs
from brokertuner_tui.store.errors import StoreError
from tests.store import made


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_a_trial_in_both_files(tmp_path: Path) -> None:
    logs = CsvLogs(tmp_path, run="r1")
    logs.trial(made.trial(1))
    logs.trial(made.trial(2, verdict=Verdict.FAILED))
    # Flushed: readable while the session goes on.
    progress, actions = _rows(tmp_path / "logs" / "progress.csv"), _rows(tmp_path / "action_throughput_log.csv")
    logs.close()
    logs.close()
    assert [row["time/total_timesteps"] for row in progress] == ["1", "2"]
    assert [row["verdict"] for row in progress] == ["ok", "failed"]
    assert progress[0]["rollout/reward"] == "0.75"
    assert progress[0]["train/critic_loss"] == "0.01"
    assert progress[0]["train/actor_loss"] == ""
    assert progress[0]["on_time_per_s"] == "48000"
    assert progress[1]["on_time_per_s"] == progress[1]["p99_ms"] == progress[1]["rollout/reward"] == ""
    assert list(actions[0])[:2] == ["step", "timestamp"]
    assert set(NAMES) <= set(actions[0])
    assert actions[0]["timestamp"] == "2026-11-21T01:00:01.500Z"
    assert (actions[0]["throughput"], actions[0]["reward"]) == ("49000", "0.75")
    assert (actions[0]["max_inflight_messages"], actions[0]["set_tcp_nodelay"]) == ("2000", "true")
    assert actions[1]["throughput"] == ""
    assert actions[1]["max_packet_size"] == "268435455"


def test_runs_follow_each_other_under_one_header(tmp_path: Path) -> None:
    for run in ("r1", "r2"):
        logs = CsvLogs(tmp_path, run=run)
        logs.trial(made.trial(1))
        logs.close()
    assert [row["run"] for row in _rows(tmp_path / "action_throughput_log.csv")] == ["r1", "r2"]
    assert (tmp_path / "logs" / "progress.csv").read_text().count("rollout/reward") == 1


@pytest.mark.parametrize("cut", [1, 30])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "action_throughput_log.csv"
    logs = CsvLogs(tmp_path)
    for number in range(1, 100):
        logs.trial(made.trial(number))
    logs.close()
    path.write_bytes(path.read_bytes()[:-cut])
    logs = CsvLogs(tmp_path)
    logs.trial(made.trial(200))
    logs.close()
    assert [row["step"] for row in _rows(path)] == [*map(str, range(1, 99)), "200"]


def test_a_torn_header_is_written_again(tmp_path: Path) -> None:
    (tmp_path / "action_throughput_log.csv").write_text("step,times")
    logs = CsvLogs(tmp_path)
    logs.trial(made.trial(1))
    logs.close()
    assert [row["step"] for row in _rows(tmp_path / "action_throughput_log.csv")] == ["1"]


def test_other_columns_are_moved_aside(tmp_path: Path) -> None:
    (tmp_path / "action_throughput_log.csv").write_text("step,something\n1,2\n")
    CsvLogs(tmp_path).close()
    assert (tmp_path / "action_throughput_log.old-1.csv").read_text() == "step,something\n1,2\n"
    assert (tmp_path / "action_throughput_log.csv").read_text().startswith("step,timestamp,max_inflight")


def test_what_is_not_a_number_is_empty_and_a_row_is_one_line(tmp_path: Path) -> None:
    logs = CsvLogs(tmp_path)
    event = made.trial(1, reward=math.inf)
    odd = replace(event.outcome, profile=replace(made.PROFILE, name='a\nb,"c"'), window=made.window(p99_ms=math.nan))
    logs.trial(replace(event, outcome=odd))
    logs.close()
    (row,) = _rows(tmp_path / "logs" / "progress.csv")
    assert (row["p99_ms"], row["rollout/reward"], row["profile"]) == ("", "", 'a b,"c"')
    assert (tmp_path / "logs" / "progress.csv").read_text().count("\n") == 2


def test_an_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"progress\.csv: Not a directory"):
        CsvLogs(tmp_path / "file")
    (tmp_path / "action_throughput_log.csv").mkdir()
    with pytest.raises(StoreError, match=r"action_throughput_log\.csv: Is a directory"):
        CsvLogs(tmp_path)
