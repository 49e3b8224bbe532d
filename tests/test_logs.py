"""The program's own log: it turns over, is shared, says the same to people and machines, and never says a secret."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from brokertuner_tui import logs, paths
from tests.cli.program import ROOT
from tests.small_disk import on_small_disk


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    made = logging.getLogger("brokertuner_tui.test_logs")
    made.setLevel(logging.INFO)
    made.propagate = False
    yield made
    for handler in made.handlers[:]:
        made.removeHandler(handler)
        handler.close()


def _file(path: Path, *, as_json: bool = False) -> logging.Handler:
    handler = logs.open_file(path, as_json=as_json)
    assert handler is not None
    return handler


def test_a_line_for_people(tmp_path: Path, logger: logging.Logger) -> None:
    path = tmp_path / "log" / "program.log"
    logger.addHandler(_file(path))
    logger.warning("cannot reach %s", "mqtt://me:hunter2@host")
    logs.of_run("20261121-070000-abc")
    try:
        logger.info("a trial")
    finally:
        logs.of_run("")
    first, second = path.read_text().splitlines()
    assert re.fullmatch(
        rf"[\d-]+ [\d:,]+ WARNING brokertuner_tui\.test_logs\[{os.getpid()}\]: cannot reach mqtt://me:\*\*\*@host", first
    )
    assert " 20261121-070000-abc: a trial" in second
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_line_for_machines(tmp_path: Path, logger: logging.Logger) -> None:
    path = tmp_path / "program.log"
    logger.addHandler(_file(path, as_json=True))
    logs.of_run("20261121-070000-abc")
    try:
        raise KeyError("postgresql://me:hunter2@host")
    except KeyError:
        logger.exception("two\nlines of %s", "password='hunter2'")
    finally:
        logs.of_run("")
    logger.info("plain")
    first, second = [json.loads(line) for line in path.read_text().splitlines()]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert (first["level"], first["logger"], first["process"]) == ("error", "brokertuner_tui.test_logs", os.getpid())
    assert first["run"] == "20261121-070000-abc"
    assert first["message"] == "two\nlines of password=***"
    assert "KeyError" in first["exception"]
    assert "hunter2" not in path.read_text()
    assert "run" not in second
    assert "exception" not in second


def test_the_file_turns_over_and_two_processes_share_it(
    tmp_path: Path, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_LARGEST_BYTES", 20_000)
    path = tmp_path / "program.log"
    handlers = [_file(path), _file(path)]  # as two processes would have it open
    for number in range(1000):
        record = logger.makeRecord(logger.name, logging.INFO, "", 0, f"line {number} {'x' * 60}", (), None)
        handlers[number % 2].emit(record)
    for handler in handlers:
        handler.close()
    files = sorted(each.name for each in tmp_path.iterdir())
    assert files == ["program.log", "program.log.1", "program.log.2", "program.log.3"]
    assert all((tmp_path / name).stat().st_size < 21_000 for name in files)
    text = "".join((tmp_path / name).read_text() for name in reversed(files))
    numbers = [int(number) for number in re.findall(r"line (\d+) x", text)]
    assert numbers == list(range(numbers[0], 1000))


_FULL = (
    "import logging, sys; from pathlib import Path; from brokertuner_tui import logs; from tests.small_disk import fill\n"
    "disk = Path(sys.argv[1]); handler = logs.open_file(disk / 'program.log'); logger = logging.getLogger('x')\n"
    "logger.addHandler(handler); logger.error('before'); ballast = fill(disk)\n"
    "for _ in range(200): logger.error('y' * 100)\n"
    "ballast.unlink(); logger.error('after'); handler.flush(); print((disk / 'program.log').read_text().splitlines()[-1])\n"
)


def test_a_full_disk_says_nothing_and_ends_nothing(tmp_path: Path) -> None:
    command = on_small_disk("1m", tmp_path / "disk", sys.executable, "-c", _FULL, str(tmp_path / "disk"))
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.endswith("after\n")


def test_no_log_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert logs.open_file(tmp_path / "file" / "program.log") is None


# -- crash reports -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "log_dir", lambda: tmp_path / "log")
    return tmp_path / "log"


def _crash() -> RuntimeError:
    secret_of_mine = "swordfish"
    try:
        raise RuntimeError(f"login as me with password={secret_of_mine!r} at mqtt://me:{secret_of_mine}@host failed")
    except RuntimeError as error:
        return error


def test_a_report_holds_no_secret_and_no_local_variable(folder: Path) -> None:
    report = logs.crash_report(_crash())
    assert report is not None
    text = report.read_text()
    assert "Traceback" in text
    assert "in _crash" in text
    assert "password=*** at mqtt://me:***@host failed" in text
    assert "swordfish'" not in text.replace('secret_of_mine = "swordfish"', "")
    assert stat.S_IMODE(report.stat().st_mode) == 0o600


def test_one_report_for_one_error_and_one_for_each(folder: Path) -> None:
    error = _crash()
    assert logs.crash_report(error) == logs.crash_report(error)
    assert logs.crash_report(_crash()) != logs.crash_report(error)
    assert len(list(folder.iterdir())) == 2


def test_a_thread_that_dies_leaves_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)  # put back after the test
    logs.watch_threads()
    logs.log.addHandler(handler)
    try:
        thread = threading.Thread(target=lambda: 1 / 0, name="sampler")
        thread.start()
        thread.join(10)
    finally:
        logs.log.removeHandler(handler)
    (report,) = folder.iterdir()
    assert "thread sampler" in report.read_text()
    assert f"the thread sampler died; crash report: {report}" in lines.getvalue()
