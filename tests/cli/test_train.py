"""`train` on a real Mosquitto: its lines, its store, its ends, good and bad."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from brokertuner_tui.knobs.catalogue import NAMES
from brokertuner_tui.store.store import Store
from tests.cli.program import command, environment, error_of, lines_of, run
from tests.cli.running import SMALL_LOAD, is_broker, is_generator, running

CONFIG = f"""
[tuning]
step_interval_sec = 0.3
settle_sec = 0.05
confirm_windows = 2
ablation_windows = 0
{SMALL_LOAD}"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "brokertuner.toml").write_text(CONFIG)
    return tmp_path


def _listed(home: Path) -> list[dict[str, object]]:
    ended = run(home, "runs", "list", "--json", "--save-dir", "s")
    assert ended.returncode == 0, ended.stderr
    found: list[dict[str, object]] = json.loads(ended.stdout)
    return found


def test_a_short_run_from_start_to_export(home: Path, mosquitto: Path) -> None:
    words = ["train", "--total-timesteps", "3", "--json", "--save-dir", "s", "--mosquitto", str(mosquitto)]
    with running(home, *words, "--pin", "max_queued_bytes=1000000", "--seed", "3") as program:
        program.until("trial")
        # The line was written once the store had the trial; another process sees it there.
        (during,) = _listed(home)
        assert during["trials"] in (1, 2, 3)
        assert during["state"] in ("created", "running")
        assert program.child(is_broker).is_running()
        assert program.child(is_generator).is_running()
        assert program.wait() == 0, program.errors
        assert program.left() == []
        lines = program.lines
    trials = [line for line in lines if line["event"] == "trial"]
    assert [line["trial"] for line in trials] == [1, 2, 3]
    for line in trials:
        assert line["verdict"] in ("ok", "failed", "inconclusive")
        assert set(line["knobs"]) == set(NAMES)
        assert line["knobs"]["max_queued_bytes"] == 1_000_000
    assert trials[0]["kind"] == "default"
    assert trials[0]["on_time_per_s"] > 100
    summary = lines[-1]
    assert (summary["event"], summary["state"], summary["trials"]) == ("summary", "completed", 3)
    assert set(summary["best"]["knobs"]) == set(NAMES)
    assert summary["best"]["low"] <= summary["best"]["on_time_per_s"] <= summary["best"]["high"]
    (after,) = _listed(home)
    assert (after["run"], after["state"], after["trials"]) == (summary["run"], "completed", 3)
    with Store.open(home / "s" / "store.db", read_only=True) as store:
        row = store.run("last")
        assert row.info.seed == 3
        assert row.info.pinned == {"max_queued_bytes": 1_000_000}
        assert [trial.knobs for trial in store.trials(row.id)] == [line["knobs"] for line in trials]
        assert len(store.confirmations(row.id)[0].windows) == 4
    assert len((home / "s" / "action_throughput_log.csv").read_text().splitlines()) == 4
    assert len((home / "s" / "logs" / "progress.csv").read_text().splitlines()) == 4
    checkpoint = home / "s" / "checkpoints" / str(summary["run"])
    assert checkpoint.is_dir()
    exported = run(home, "runs", "export", "last", "--conf", "-", "--save-dir", "s")
    assert exported.returncode == 0
    assert "\nmax_queued_bytes 1000000\n" in exported.stdout
    _evaluate(home, mosquitto, checkpoint)


def _evaluate(home: Path, mosquitto: Path, checkpoint: Path) -> None:
    """What was trained can be evaluated: part of the test above, which has paid for the training."""
    words = [
        "evaluate",
        "--model-path",
        str(checkpoint),
        "--n-episodes",
        "2",
        "--max-steps",
        "2",
        "--mosquitto",
        str(mosquitto),
    ]
    ended = run(home, *words, "--json")
    assert ended.returncode == 0, ended.stderr
    *episodes, summary = lines_of(ended.stdout)
    assert [(line["event"], line["episode"], line["steps"]) for line in episodes] == [("episode", 1, 2), ("episode", 2, 2)]
    rewards = [line["reward"] for line in episodes]
    assert summary["mean_reward"] == pytest.approx(sum(rewards) / 2)
    assert summary["std_reward"] == pytest.approx(abs(rewards[0] - rewards[1]) / 2)


def test_a_signal_ends_the_run_in_good_order(home: Path, mosquitto: Path) -> None:
    """The exit codes of the others: `test_headless`. Meanwhile, another session cannot have the same folder."""
    words = ["train", "--total-timesteps", "1000", "--json", "--save-dir", "s", "--mosquitto", str(mosquitto)]
    with running(home, *words) as program:
        program.until("trial")
        second = run(home, *words)
        assert second.returncode == 1
        assert f"another session (process {program.process.pid} since " in second.stderr
        assert f", run {next(line['run'] for line in program.lines if 'run' in line)}) is writing to" in second.stderr
        error, summary = lines_of(second.stdout)[-2:]
        assert (error["event"], summary["state"], summary["trials"]) == ("error", "failed", 0)
        program.signal(signal.SIGHUP)
        assert program.wait() == 143
        summary = program.lines[-1]
        assert (summary["event"], summary["state"]) == ("summary", "cancelled")
        assert summary["trials"] >= 1
        assert "ending in good order" in program.errors
        assert "Traceback" not in program.errors
        assert program.left() == []
    assert [entry["state"] for entry in _listed(home)] == ["cancelled"]


def test_a_second_ctrl_c_forces(home: Path, mosquitto: Path) -> None:
    words = ["train", "--total-timesteps", "1000", "--json", "--save-dir", "s", "--mosquitto", str(mosquitto)]
    with running(home, *words) as program:
        program.until("trial")
        # Stopped, the session cannot end in good order before the second signal is there.
        program.child(is_broker).suspend()
        program.signal(signal.SIGINT)
        deadline = time.monotonic() + 30
        while "ending in good order" not in program.errors and time.monotonic() < deadline:
            time.sleep(0.02)
        program.signal(signal.SIGINT)
        assert program.wait() == 130
        assert "forced to end" in program.errors
        assert program.left() == []
    assert [entry["state"] for entry in _listed(home)] == ["interrupted"]


def test_kill_9_leaves_nothing_running_and_the_store_whole(home: Path, mosquitto: Path) -> None:
    words = ["train", "--total-timesteps", "1000", "--json", "--save-dir", "s", "--mosquitto", str(mosquitto)]
    with running(home, *words) as program:
        program.until("trial")
        program.signal(signal.SIGKILL)
        program.wait()
        assert program.left() == []
        told = [line["trial"] for line in program.lines if line["event"] == "trial"]
    (entry,) = _listed(home)
    assert entry["state"] == "interrupted"
    assert entry["trials"] in (len(told), len(told) + 1)
    Store.open(home / "s" / "store.db").close()  # what it held is free again


def test_a_reader_that_is_gone_ends_it(home: Path, mosquitto: Path) -> None:
    words = command("train", "--total-timesteps", "1000", "--json", "--save-dir", "s", "--mosquitto", str(mosquitto))
    shell = " ".join(f"'{word}'" for word in words) + " | head -2; echo ${PIPESTATUS[0]}"
    ended = subprocess.run(
        ["bash", "-c", shell], cwd=home, env=environment(home), capture_output=True, text=True, timeout=100, check=True
    )
    assert ended.stdout.splitlines()[-1] == "1"  # it is not what was asked for
    assert ended.stderr.splitlines() == [
        "brokertuner-tui: error: nobody reads stdout any more: the run was ended before its time, in good order"
    ]
    assert [entry["state"] for entry in _listed(home)] == ["cancelled"]


def test_a_folder_that_cannot_be_written(home: Path, mosquitto: Path) -> None:
    (home / "file").write_text("")
    words = ["train", "--total-timesteps", "1", "--save-dir", "file/below", "--mosquitto", str(mosquitto)]
    ended = run(home, *words)
    assert ended.returncode == 1
    assert re.fullmatch(r".*file/below.*Not a directory", error_of(ended))
    assert (home / "file").read_text() == ""


def test_no_mosquitto(home: Path) -> None:
    ended = run(home, "train", "--save-dir", "s", more={"PATH": "/nonexistent", "BROKERTUNER_MOSQUITTO_DIR": "/nonexistent"})
    if "no Mosquitto was found" not in ended.stderr:
        pytest.skip("this machine has one in a system folder")
    assert ended.returncode == 1
    assert "--mosquitto PATH" in error_of(ended)
    assert not (home / "s").exists()


def test_a_program_that_is_not_mosquitto(home: Path) -> None:
    ended = run(home, "train", "--save-dir", "s", "--mosquitto", "/bin/true")
    assert ended.returncode == 1
    assert "/bin/true is not Mosquitto" in error_of(ended)
    assert not (home / "s").exists()


def test_on_a_terminal(home: Path, mosquitto: Path) -> None:
    """Sentences and a progress line on the terminal, the result on stdout."""
    ours, theirs = pty.openpty()
    words = ["train", "--total-timesteps", "2", "--save-dir", "s", "--mosquitto", str(mosquitto)]
    process = subprocess.Popen(
        command(*words),
        cwd=home,
        env=environment(home, {"TERM": "xterm-256color", "COLUMNS": "120"}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # Linux: the other end was closed
        pass
    finally:
        os.close(ours)
    assert process.stdout is not None
    result = process.stdout.read().decode()
    process.stdout.close()
    assert process.wait(30) == 0
    text = shown.decode()
    assert "\x1b[" in text
    assert "trial 1 " in text
    assert "/2" in text
    assert "completed after 2 trials" in result
    assert "best" in result
    assert "\x1b" not in result
