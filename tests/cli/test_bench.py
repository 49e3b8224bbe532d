"""`bench` as a person or a script meets it."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pytest

from brokertuner_tui.cli import main
from tests.cli.program import command, environment, error_of, run
from tests.waiting import eventually

WORKLOADS = """
[workload.small]
publishers = 2
subscribers = 2
topics = 2
qos = 1
rate = 400
slo_ms = 100
"""


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, and a home that is somewhere else."""
    for name, value in environment(tmp_path / "home").items():
        if name.startswith(("XDG_", "HOME")):
            monkeypatch.setenv(name, value)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def _said(*arguments: str) -> tuple[int, str, str]:
    """The command's exit code, stdout and stderr; in this process, since most of them end at once."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as error:
        code = main.run(["bench", *arguments])
    return code, out.getvalue(), error.getvalue()


def _begun_and_ended(home: Path, arguments: list[str], results: Path, lines: int, number: int) -> tuple[int, str]:
    """Sends the signal while a broker and a load run and there are so many results; the exit code, and what was said."""
    errors = home / "errors.txt"
    with open(errors, "w") as sink:
        program = subprocess.Popen(
            command(*arguments), cwd=home, env=environment(home), stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
        )
    process = psutil.Process(program.pid)
    try:
        assert eventually(lambda: len(_lines(results)) >= lines and len(process.children()) > 2, 120), errors.read_text()
        children = process.children(recursive=True)
        program.send_signal(number)
        code = program.wait(60)
    finally:
        program.kill()
        program.wait(60)
    assert eventually(lambda: not psutil.wait_procs(children, 0)[1])
    return code, errors.read_text()


def test_interrupted_and_killed_it_goes_on_and_nothing_counts_twice(mosquitto_2_0_21: Path, tmp_path: Path) -> None:
    (tmp_path / "loads.toml").write_text(WORKLOADS)
    load = ["--workload", "small", "--workload-file", "loads.toml", "--mosquitto", str(mosquitto_2_0_21)]
    length = ["--trials", "4", "--step-interval", "0.1", "--confirm-windows", "2"]
    results = tmp_path / "kept" / "results.jsonl"
    first = ["bench", *load, *length, "--methods", "default,random", "--out", "kept"]
    code, said = _begun_and_ended(tmp_path, first, results, 0, signal.SIGINT)
    assert code == 130
    assert "steps are left: `brokertuner-tui bench --out kept` goes on" in said
    _begun_and_ended(tmp_path, ["bench", "--out", "kept"], results, 1, signal.SIGKILL)
    ended = run(tmp_path, "bench", "--out", "kept", "--json", timeout_s=120)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["complete"]
    kept = _lines(results)
    assert set(Counter((json.loads(line)["kind"], json.loads(line).get("method")) for line in kept).values()) == {1}
    assert len(kept) == 3
    methods = {figures["method"]: figures for figures in found["summary"][0]["methods"]}
    assert methods["default"]["final"]["mean"] == pytest.approx(400, rel=0.5)
    assert methods["random"]["trials"] == 4
    again = run(tmp_path, "bench", "--out", "kept", more={"PATH": ""})
    assert again.returncode == 0, again.stderr
    assert "random" in again.stdout
    assert _lines(results) == kept
    assert "--trials is 4 there, not 9" in error_of(run(tmp_path, "bench", "--out", "kept", "--trials", "9"))


def test_what_another_machine_has_measured_is_shown_but_not_added_to(alone: Path) -> None:
    assert _said("--surrogate", "--workload", "wan", "--methods", "default", "--trials", "2", "--out", "kept")[0] == 0
    plan = json.loads((alone / "kept" / "plan.json").read_text()) | {"surrogate": False, "machine": "64 cores of another"}
    (alone / "kept" / "plan.json").write_text(json.dumps(plan))
    code, shown, _ = _said("--out", "kept")
    assert code == 0
    assert "wan" in shown
    before = (alone / "kept" / "results.jsonl").read_bytes()
    code, _, said = _said("--out", "kept", "--seeds", "2")
    assert code == 2
    assert "holds what 64 cores of another did; here is " in said
    assert (alone / "kept" / "results.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--workload", "nonsense"], "unknown workload 'nonsense': known are "),
        (["--workload", "live"], "--workload live: traffic that is really there"),
        (["--suite", "night"], "--suite night: must be static or day"),
        (["--methods", "default,magic"], "unknown method 'magic': known are default, forum, random"),
        (["--methods", ","], "must be all, or some of default, "),
        (["--trials", "0"], "--trials 0: must be from 1 to 10000"),
        (["--seeds", "0"], "--seeds 0: must be from 1"),
        (["--step-interval", "0"], "--step-interval 0: must be greater than 0"),
        (["--mosquitto", "no/such"], "no/such: there is no such file"),
        (["--mosquitto", "/bin/true"], "/bin/true is not Mosquitto"),
        (["--mosquitto", "/bin/true", "--surrogate"], "--mosquitto is for the real broker"),
        (["--html", "no/such/page.html"], "--html no/such/page.html: there is no folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_compared_is_said_before_anything_starts(alone: Path, arguments: list[str], said: str) -> None:
    code, out, error = _said("--out", "kept", *arguments)
    assert error.startswith("brokertuner-tui: error: ")
    assert error.count("\n") == 1
    assert said in error
    assert out == ""
    assert code in (1, 2)
    assert list(alone.iterdir()) == []


def test_a_package_that_is_not_installed_is_named_with_what_to_install(
    alone: Path, monkeypatch: pytest.MonkeyPatch, mosquitto: Path
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)  # as if it were not there
    code, _, error = _said("--out", "kept", "--methods", "default,tpe", "--mosquitto", str(mosquitto))
    assert code == 2
    assert "optuna" in error
    assert "pip install 'brokertuner-tui[bench]'" in error
    assert list(alone.iterdir()) == []


def test_the_surrogate_compares_in_a_moment(alone: Path) -> None:
    load = ["--surrogate", "--workload", "telemetry", "--methods", "default,random", "--trials", "3"]
    code, out, error = _said(*load, "--confirm-windows", "2", "--out", "kept")
    assert code == 0, error
    assert "telemetry, Mosquitto 2.1.2: 1 x 3 trials, best known" in out
    assert "On the surrogate" in out
    assert "\x1b" not in out
    assert "confirmation: window 4 of 4" in error
    assert len(_lines(alone / "kept" / "results.jsonl")) == 9
