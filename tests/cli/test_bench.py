"""`bench` as a person or a script meets it."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from pathlib import Path

import psutil
import pytest

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


def _begun_and_ended(home: Path, arguments: list[str], results: Path, lines: int, number: int) -> tuple[int, str]:
    """Sends the signal while a broker and a load run and there are so many results; the exit code, and what was said."""
    errors = home / "errors.txt"
    with open(errors, "w") as sink:
        program = subprocess.Popen(
            command(*arguments), cwd=home, env=environment(home), stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
        )
    process = psutil.Process(program.pid)
    assert eventually(lambda: len(_lines(results)) >= lines and len(process.children()) > 2, 60), errors.read_text()
    children = process.children(recursive=True)
    program.send_signal(number)
    code = program.wait(60)
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
def test_what_cannot_be_compared_is_said_before_anything_starts(tmp_path: Path, arguments: list[str], said: str) -> None:
    ended = run(tmp_path, "bench", "--out", "kept", *arguments)
    assert said in error_of(ended)
    assert ended.returncode in (1, 2)
    assert not (tmp_path / "kept").exists()


def test_a_package_that_is_not_installed_is_named_with_what_to_install(mosquitto: Path, tmp_path: Path) -> None:
    """The package is hidden from the program, as if it were not there."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['optuna'] = None\n")
    more = {"PYTHONPATH": f"{tmp_path}:{environment(tmp_path)['PYTHONPATH']}"}
    ended = run(tmp_path, "bench", "--methods", "default,tpe", "--mosquitto", str(mosquitto), "--out", "kept", more=more)
    said = error_of(ended)
    assert ended.returncode == 2
    assert "optuna" in said
    assert "pip install 'brokertuner-tui[bench]'" in said
    assert not (tmp_path / "kept").exists()


def test_the_surrogate_compares_in_a_moment(tmp_path: Path) -> None:
    load = ["--surrogate", "--workload", "telemetry", "--methods", "default,random", "--trials", "3"]
    ended = run(tmp_path, "bench", *load, "--confirm-windows", "2", "--out", "kept", timeout_s=120)
    assert ended.returncode == 0, ended.stderr
    assert "telemetry, Mosquitto 2.1.2: 1 x 3 trials, best known" in ended.stdout
    assert "On the surrogate" in ended.stdout
    assert "\x1b" not in ended.stdout
    assert len(_lines(tmp_path / "kept" / "results.jsonl")) == 9
