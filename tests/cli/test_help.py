"""Help is there for every command, complete and quick."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path

import pytest

from tests.cli.program import command, environment, run

COMMANDS = [
    [],
    ["launch"],
    ["train"],
    ["evaluate"],
    ["bench"],
    ["knobs"],
    ["workload"],
    ["workload", "record"],
    ["workload", "play"],
    ["serve"],
    ["runs"],
    ["runs", "list"],
    ["runs", "show"],
    ["runs", "export"],
    ["report"],
    ["config"],
    ["config", "show"],
    ["restore"],
    ["paths"],
]


def test_no_arguments_is_help(tmp_path: Path) -> None:
    ended = run(tmp_path)
    assert ended.returncode == 0
    assert ended.stdout == run(tmp_path, "--help").stdout
    for name in ("launch", "train", "evaluate", "knobs", "workload", "runs", "config", "paths", "serve"):
        assert f"\n  {name} " in ended.stdout
    assert "..." not in ended.stdout.partition("Commands:")[2]  # every command's sentence fits


@pytest.mark.parametrize("group", ["runs", "config"])
def test_a_group_without_a_command_is_help(tmp_path: Path, group: str) -> None:
    ended = run(tmp_path, group)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"Usage: brokertuner-tui {group}" in ended.stdout


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_help_is_quick(tmp_path: Path, arguments: list[str]) -> None:
    """Under 0.3 s. Counted in CPU seconds, which are the wall's where nothing else runs: help waits for nothing."""
    times = []
    for _ in range(5):
        before = _children_cpu_s()
        ended = subprocess.run(
            command(*arguments, "--help"), env=environment(tmp_path), capture_output=True, text=True, timeout=60, check=True
        )
        times.append(_children_cpu_s() - before)
        if times[-1] < 0.3:
            break
    assert "Usage: brokertuner-tui" in ended.stdout
    assert min(times) < 0.3


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("arguments", [words for words in COMMANDS if words not in ([], ["runs"], ["config"])], ids=" ".join)
def test_the_options_that_scripts_rely_on(tmp_path: Path, arguments: list[str]) -> None:
    """--save-dir is taken everywhere (where it keeps nothing, it is not in the help); --config where settings are read."""
    text = run(tmp_path, *arguments, "--help").stdout
    if arguments not in (["knobs"], ["restore"], ["workload", "record"]):
        assert "--save-dir DIR" in text
    if arguments != ["knobs"]:
        assert "--config FILE" in text
    if arguments[0] in ("launch", "train", "evaluate"):
        for option in ("--mosquitto PATH", "--workload-file FILE", "--seed N", "--workload NAME", "--device", "--preset"):
            assert option in text
    if arguments == ["train"]:
        for option in ("--total-timesteps N", "--save-freq N", "--pin KNOB=VALUE", "--max-seconds S", "--json"):
            assert option in text


def test_version(tmp_path: Path) -> None:
    ended = run(tmp_path, "--version")
    assert (ended.returncode, ended.stdout) == (0, "brokertuner-tui 0.1.0\n")


def test_completion_completes(tmp_path: Path) -> None:
    variables = {"_BROKERTUNER_TUI_COMPLETE": "complete_bash", "COMP_WORDS": "brokertuner-tui tr", "COMP_CWORD": "1"}
    assert run(tmp_path, more=variables).stdout == "train\n"
    variables = {"_BROKERTUNER_TUI_COMPLETE": "complete_bash", "COMP_WORDS": "brokertuner-tui train --total", "COMP_CWORD": "2"}
    assert run(tmp_path, more=variables).stdout == "--total-timesteps\n"
