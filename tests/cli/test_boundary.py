"""Whatever goes wrong ends as one line and an exit code; what nobody foresaw leaves a report without secrets."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from brokertuner_tui import paths
from brokertuner_tui.cli import boundary, main
from brokertuner_tui.errors import ConnectionFailed, TunerError, UsageError
from tests.cli.program import command, environment, error_of, run


@pytest.fixture(autouse=True)
def log_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "log_dir", lambda: tmp_path / "log")
    monkeypatch.setattr(boundary, "_debug", False)
    return tmp_path / "log"


def _raise(error: BaseException) -> int:
    def run_it() -> None:
        local_secret = "hunter2"
        assert local_secret
        raise error

    return boundary.guarded(run_it)


@pytest.mark.parametrize(
    ("error", "code"), [(TunerError("it failed"), 1), (UsageError("it failed"), 2), (ConnectionFailed("it failed"), 3)]
)
def test_a_foreseen_error_is_one_line(error: TunerError, code: int, capsys: pytest.CaptureFixture[str], log_dir: Path) -> None:
    assert _raise(error) == code
    assert capsys.readouterr() == ("", "brokertuner-tui: error: it failed\n")
    assert not log_dir.exists()


def test_details_follow_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert _raise(TunerError("it failed\nthe log says so")) == 1
    assert capsys.readouterr().err == "brokertuner-tui: error: it failed\nthe log says so\n"


def test_an_unforeseen_error_leaves_a_report(capsys: pytest.CaptureFixture[str], log_dir: Path) -> None:
    assert _raise(KeyError("postgresql://me:hunter2@host/db")) == 1
    err = capsys.readouterr().err
    (report,) = log_dir.glob("crash-*.txt")
    assert err.startswith("brokertuner-tui: error: KeyError: ")
    assert f"what happened is written in {report}\n" in err
    text = report.read_text()
    assert "Traceback" in text
    assert "postgresql://me:***@host/db" in text
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    assert "hunter2" not in text  # neither from the message nor from a local variable


def test_a_crash_in_the_sessions_thread_leaves_one_too(capsys: pytest.CaptureFixture[str], log_dir: Path) -> None:
    error = TunerError("ZeroDivisionError: division by zero")
    error.__cause__ = ZeroDivisionError("division by zero")
    assert _raise(error) == 1
    assert "ZeroDivisionError" in next(log_dir.glob("crash-*.txt")).read_text()
    assert "this is a bug" in capsys.readouterr().err
    refused = TunerError("cannot write")
    refused.__cause__ = PermissionError(13, "Permission denied")
    assert _raise(refused) == 1  # foreseen: the system's word for it is its cause
    assert len(list(log_dir.glob("crash-*.txt"))) == 1


def test_no_report_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(paths, "log_dir", lambda: tmp_path / "file" / "below")
    assert _raise(KeyError("x")) == 1
    assert "--debug" in capsys.readouterr().err


def test_debug_shows_where(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boundary, "_debug", True)
    assert _raise(UsageError("it failed")) == 2
    assert "Traceback" in capsys.readouterr().err


def test_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    assert _raise(KeyboardInterrupt()) == 130


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nosuch"], "No such command 'nosuch'"),
        (["train", "--nosuch"], "--nosuch"),
        (["train", "--seed", "x"], "--seed"),
        (["train", "--seed", "-1"], "--seed: seed = -1: must be"),
        (["train", "--total-timesteps", "0"], "--total-timesteps"),
        (["train", "--max-seconds", "nan"], "--max-seconds"),
        (["train", "--telemetry"], "--telemetry is for --json"),
        (["train", "--preset", "best"], "must be one of slo, classic"),
        (["train", "--device", "tpu"], "--device"),
        (["train", "--workload", "nosuch"], "nosuch"),
        (["train", "--pin", "max_inflight=3"], "max_inflight"),
        (["train", "--pin", "max_inflight_messages"], "--pin"),
        (["train", "--pin", "max_inflight_messages=70000"], "must be a whole number from 1 to 65535"),
        (["train", "--pin", "memory_limit=-1"], "memory_limit"),
        (["train", "--pin", "max_queued_bytes=2147483648"], "max_queued_bytes"),
        (["train", "--pin", "persistence=maybe"], "must be true or false"),
        (["train", "--pin", "max_queued_messages=20\nplugin /x.so"], "max_queued_messages"),
        (["train", "--config", "missing.toml"], "missing.toml"),
        (["train", "--workload-file", "missing.toml"], "missing.toml"),
        (["train", "--workload-file", "wrong_key.toml"], "publisher"),
        (["train", "--workload-file", "negative.toml"], "rate"),
        (["workload"], "which workload?"),
        (["workload", "nosuch"], "unknown workload 'nosuch': known are"),
        (["workload", "fanout", "--duration", "0"], "--duration"),
        (["workload", "fanout", "--port", "0"], "--port"),
        (["runs", "show"], "RUN"),
        (["runs", "show", "nosuch"], "nosuch"),
        (["evaluate"], "--model-path"),
        (["evaluate", "--model-path", "missing"], "there is no such folder"),
        (["evaluate", "--model-path", ".", "--n-episodes", "0"], "--n-episodes"),
        (["config", "show", "--config", "."], "Is a directory"),
    ],
    ids=" ".join,
)
def test_bad_input_is_one_line_exit_2_and_nothing_is_made(
    tmp_path: Path, words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    before = _with_bad_files(tmp_path)
    assert main.run(words if words == ["nosuch"] else [*words, "--save-dir", "results"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("brokertuner-tui: error: ")
    assert said in err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "--mosquitto", "missing"], "no such file"),
        (["train", "--mosquitto", "."], "is a folder"),
        (["train", "--workload-file", "negative.toml", "--json"], "rate"),
        (["launch"], "launch needs a terminal; without one, use `brokertuner-tui train`"),
    ],
    ids=" ".join,
)
def test_the_same_in_a_process_of_its_own(tmp_path: Path, words: list[str], said: str) -> None:
    before = _with_bad_files(tmp_path)
    ended = run(tmp_path, *words, "--save-dir", "results")
    assert ended.returncode == 2
    assert said in error_of(ended)
    assert sorted(tmp_path.iterdir()) == before


def _with_bad_files(folder: Path) -> list[Path]:
    (folder / "wrong_key.toml").write_text("[workload.mine]\npublisher = 1\n")
    (folder / "negative.toml").write_text("[workload.mine]\nrate = -5\n")
    return sorted(folder.iterdir())


def test_a_reader_that_is_gone(tmp_path: Path) -> None:
    """`| head -1` and the like: no traceback, no complaint."""
    shell = " ".join(f"'{word}'" for word in command("knobs")) + " | true; echo ${PIPESTATUS[0]}"
    ended = subprocess.run(
        ["bash", "-c", shell], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stderr == ""
    assert ended.stdout.splitlines()[-1] == "0"


@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [
        (">/dev/full", 1, "brokertuner-tui: error: cannot write to stdout: No space left on device\n"),
        (">&-", 0, ""),
        ("2>&-", 0, ""),
        ("nosuch 2>&-", 2, ""),
    ],
)
def test_streams_that_are_full_or_closed(tmp_path: Path, redirection: str, code: int, said: str) -> None:
    shell = (
        " ".join(f"'{word}'" for word in command()) + f" {redirection if 'nosuch' in redirection else f'knobs {redirection}'}"
    )
    ended = subprocess.run(
        ["bash", "-c", shell], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (code, said)
    assert not list(tmp_path.rglob("crash-*"))
