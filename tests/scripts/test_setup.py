"""`./run` and `./test` set things up: once, safely, quickly, and in words that help."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.scripts.conftest import ROOT, Checkout, link_tools, write_program

SCRIPTS = ("run", "test", "scripts/setup.sh", "scripts/get-mosquitto", ".ci/run")


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_are_free_of_syntax_errors(script: str) -> None:
    shell = "bash" if script == ".ci/run" else shutil.which("dash") or "sh"
    subprocess.run([shell, "-n", str(ROOT / script)], check=True, timeout=10)
    assert script == "scripts/setup.sh" or os.access(ROOT / script, os.X_OK)


def test_the_first_run_sets_up_and_the_second_only_runs(checkout: Checkout) -> None:
    first = checkout.run("run", "knobs", "--json")
    assert (first.returncode, first.stdout) == (0, "tui: knobs --json\n")
    assert first.stderr.count("\n") <= 3
    assert "ready after" in first.stderr
    second = checkout.run("run", "paths")
    assert (second.returncode, second.stdout, second.stderr) == (0, "tui: paths\n", "")
    (pip,) = checkout.log()
    assert "-c constraints.txt" in pip
    assert pip.endswith("-e .[serve]")


def test_without_arguments_it_is_launch(checkout: Checkout) -> None:
    assert checkout.run("run").stdout == "tui: launch\n"


def test_it_works_through_a_link_and_from_elsewhere(checkout: Checkout, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(checkout.root / "run")
    done = subprocess.run([str(link), "paths"], env=checkout.environ, cwd="/", capture_output=True, text=True, timeout=60)
    assert done.stdout == "tui: paths\n"


def test_the_second_time_costs_less_than_a_fifth_of_a_second(checkout: Checkout) -> None:
    checkout.run("run", "paths")
    times = []
    for _ in range(5):
        began = time.monotonic()
        assert checkout.run("run", "paths").returncode == 0
        times.append(time.monotonic() - began)
    assert min(times) < 0.2


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
def test_a_changed_requirement_is_installed_into_the_same_environment(checkout: Checkout, changed: str) -> None:
    checkout.run("run", "paths")
    (checkout.venv / "mark").touch()
    with (checkout.root / changed).open("a") as file:
        file.write("\n# changed\n")
    assert "ready after" in checkout.run("run", "paths").stderr
    assert len(checkout.log()) == 2
    assert (checkout.venv / "mark").exists()


def test_a_moved_checkout_is_set_up_anew(checkout: Checkout, tmp_path: Path) -> None:
    checkout.run("run", "paths")
    (checkout.venv / "mark").touch()
    checkout.root = checkout.root.rename(tmp_path / "moved")
    assert checkout.run("run", "paths").stdout == "tui: paths\n"
    assert not (checkout.venv / "mark").exists()


def test_an_environment_made_by_hand_is_kept(checkout: Checkout) -> None:
    write_program(checkout.venv / "bin" / "python", (checkout.tools / "python3").read_text())
    (checkout.venv / "mark").touch()
    assert checkout.run("run", "paths").stdout == "tui: paths\n"
    assert (checkout.venv / "mark").exists()


@pytest.mark.parametrize("script", ["run", "test"])
def test_what_python_compiles_is_kept_whatever_the_environment_says(checkout: Checkout, script: str) -> None:
    ask = "#!/bin/sh\necho compiled is kept: ${PYTHONDONTWRITEBYTECODE-yes}\n"
    checkout.run("test", "x")  # its environment serves ./run as well
    for name in ("brokertuner-tui", "python"):
        write_program(checkout.venv / "bin" / name, ask)
    done = checkout.run(script, "x", PYTHONDONTWRITEBYTECODE="1")
    assert done.stdout == "compiled is kept: yes\n"


def test_a_failure_shows_the_end_of_pips_log_and_the_next_run_recovers(checkout: Checkout) -> None:
    failed = checkout.run("run", "paths", FAKE_PIP="fail")
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert "packages could not be installed; the end of" in failed.stderr
    assert "no such package: spam" in failed.stderr
    assert checkout.run("run", "paths").stdout == "tui: paths\n"


def test_a_set_up_that_was_killed_is_started_over(checkout: Checkout) -> None:
    process = checkout.start("run", "paths", FAKE_PIP="slow")
    deadline = time.monotonic() + 30
    while not checkout.log() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    (checkout.venv / "mark").touch()
    assert checkout.run("run", "paths").stdout == "tui: paths\n"
    assert not (checkout.venv / "mark").exists()
    assert len(checkout.log()) == 2


def test_several_first_runs_at_once_set_up_once(checkout: Checkout) -> None:
    started = [checkout.start("run", "paths", FAKE_PIP="slow") for _ in range(4)]
    results = [process.communicate(timeout=60) for process in started]
    assert [out for out, _ in results] == ["tui: paths\n"] * 4
    assert len(checkout.log()) == 1
    assert sum("waiting for another set-up" in err for _, err in results) >= 1


def test_without_python_it_says_how_to_get_it(checkout: Checkout) -> None:
    (checkout.tools / "python3").unlink()
    done = checkout.run("run", "paths")
    assert done.returncode == 1
    assert "run: Python 3.11 or later is needed; get it with: " in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_old_python_is_passed_over_and_named(checkout: Checkout) -> None:
    (checkout.tools / "python3").rename(checkout.tools / "python3.12")
    write_program(checkout.tools / "python3", "#!/bin/sh\necho old 3.9\n")
    assert checkout.run("run", "paths").stdout == "tui: paths\n"
    (checkout.tools / "python3.12").unlink()
    shutil.rmtree(checkout.venv)
    assert "Python 3.11 or later is needed (python3 is 3.9)" in checkout.run("run", "paths").stderr


def test_a_python_without_venv_is_named_with_its_package(checkout: Checkout) -> None:
    write_program(checkout.tools / "python3", "#!/bin/sh\necho bare 3.11\n")
    done = checkout.run("run", "paths")
    assert done.returncode == 1
    assert "python3 cannot make virtual environments; get it with: " in done.stderr
    assert "apt-get install python3-venv" in done.stderr
    assert not checkout.venv.exists()


def test_an_environment_whose_python_is_gone_is_made_anew(checkout: Checkout) -> None:
    checkout.run("run", "paths")
    (checkout.venv / "bin" / "python").unlink()
    (checkout.venv / "bin" / "python").symlink_to("/nonexistent/python")
    assert checkout.run("run", "paths").stdout == "tui: paths\n"


# ---- Mosquitto -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["launch", "train", "evaluate", "workload", "serve", "doctor"])
def test_a_command_that_starts_a_broker_gets_a_private_mosquitto_once(checkout: Checkout, command: str) -> None:
    home = Path(checkout.environ["HOME"]) / ".local" / "share" / "brokertuner-tui" / "mosquitto"
    for _ in range(2):
        assert checkout.run("run", command, "x").stdout == f"tui: {command} x\n"
    assert checkout.log()[1:] == [f" {home}"]


@pytest.mark.parametrize(
    "args",
    [
        ["knobs"],
        ["--help"],
        ["train", "--help"],
        ["runs", "show", "train"],
        ["train", "--mosquitto", "/x"],
        ["train", "--mosquitto=/x"],
        ["launch", "--broker", "systemd"],
        ["train", "--broker=https://host:8080"],
        ["workload", "fanout", "--host", "127.0.0.1"],
    ],
)
def test_other_commands_get_none(checkout: Checkout, args: list[str]) -> None:
    assert checkout.run("run", *args).returncode == 0
    assert len(checkout.log()) == 1


def test_the_systems_mosquitto_is_enough(checkout: Checkout, tmp_path: Path) -> None:
    write_program(tmp_path / "sbin" / "mosquitto", "#!/bin/sh\n")
    checkout.run("run", "train")
    assert len(checkout.log()) == 1


def test_a_mosquitto_that_the_config_names_is_enough(checkout: Checkout, tmp_path: Path) -> None:
    config = tmp_path / "my.toml"
    config.write_text("[broker]\nmosquitto = '/opt/mosquitto'\n")
    checkout.run("run", "train", "--config", str(config))
    checkout.run("run", "train", f"--config={config}")
    checkout.run("run", "train", BROKERTUNER_BROKER_MOSQUITTO="/opt/mosquitto")
    assert len(checkout.log()) == 1
    config.write_text("seed = 1\n")
    checkout.run("run", "train", "--config", str(config))
    assert len(checkout.log()) == 2


def test_a_mosquitto_that_cannot_be_had_does_not_stop_the_command(checkout: Checkout) -> None:
    done = checkout.run("run", "train", FAKE_SUITES="none")
    assert (done.returncode, done.stdout) == (0, "tui: train\n")
    assert "is not to be had" in done.stderr


def test_the_folder_can_be_chosen(checkout: Checkout, tmp_path: Path) -> None:
    checkout.run("run", "train", BROKERTUNER_MOSQUITTO_DIR=str(tmp_path / "mine"))
    assert checkout.log()[1:] == [f" {tmp_path / 'mine'}"]


# ---- ./test ----------------------------------------------------------------------------------------------------------


def test_arguments_go_to_pytest_and_versions_are_fetched_once(checkout: Checkout) -> None:
    folder = checkout.root / ".mosquitto"
    programs = ":".join(str(folder / suite / "mosquitto") for suite in ("bookworm", "trixie", "sid"))
    for _ in range(2):
        done = checkout.run("test", "tests/x", "-k", "y")
        assert (done.returncode, done.stdout) == (0, f"pytest tests/x -k y with {programs}\n")
    pip, *fetched = checkout.log()
    assert pip.endswith("-e .[dev]")
    assert fetched == [f"{suite} .mosquitto/{suite}" for suite in ("bookworm", "trixie", "sid")]
    assert checkout.run("run", "paths").stderr == "", "./run is served by the environment of ./test"


def test_a_version_that_cannot_be_had_is_said_in_a_line_and_skipped(checkout: Checkout) -> None:
    done = checkout.run("test", "x", FAKE_SUITES="bookworm sid")
    assert done.returncode == 0
    assert "test: going on without the Mosquitto of trixie: get-mosquitto: trixie is not to be had\n" in done.stderr
    folder = checkout.root / ".mosquitto"
    assert done.stdout == f"pytest x with {folder}/bookworm/mosquitto:{folder}/sid/mosquitto\n"


def test_the_systems_mosquitto_is_tested_too_unless_it_is_one_of_them(checkout: Checkout, tmp_path: Path) -> None:
    system = tmp_path / "sbin" / "mosquitto"
    write_program(system, "#!/bin/sh\necho mosquitto version 2.0.sid\n")
    assert "/system/" not in checkout.run("test", "x").stdout
    write_program(system, "#!/bin/sh\necho mosquitto version 2.0.18\n")
    assert checkout.run("test", "x").stdout.endswith(":" + str(checkout.root / ".mosquitto" / "system" / "mosquitto") + "\n")


def test_without_any_mosquitto_nothing_is_tested(checkout: Checkout) -> None:
    done = checkout.run("test", "x", FAKE_SUITES="none")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "there is no Mosquitto to test against; get one with: " in done.stderr


def test_the_operators_settings_do_not_reach_the_tests(checkout: Checkout) -> None:
    write_program(checkout.tools / "ruff", "#!/bin/sh\n")
    write_program(checkout.tools / "mypy", '#!/bin/sh\necho "${BROKERTUNER_SEED-unset} ${MOSQUITTO_PID-unset}"\n')
    done = checkout.run("test", BROKERTUNER_SEED="3", MOSQUITTO_PID="5", BROKERTUNER_TEST_MOSQUITTO="/m")
    assert done.stdout == "pytest --numprocesses 3 --dist worksteal with /m\nunset unset\n"


@pytest.mark.parametrize("broken", ["ruff", "mypy"])
def test_a_failed_check_fails_in_the_end_and_is_named(checkout: Checkout, broken: str) -> None:
    for name in ("ruff", "mypy"):
        write_program(checkout.tools / name, f"#!/bin/sh\nexit {int(name == broken)}\n")
    done = checkout.run("test", BROKERTUNER_TEST_MOSQUITTO="/m")
    assert done.returncode == 1
    assert "pytest --numprocesses 3 --dist worksteal with /m" in done.stdout, "the tests run all the same"
    assert f"[{broken}" in done.stderr.splitlines()[-1]


def test_it_succeeds_when_every_check_does(checkout: Checkout) -> None:
    for name in ("ruff", "mypy"):
        write_program(checkout.tools / name, "#!/bin/sh\n")
    done = checkout.run("test", BROKERTUNER_TEST_MOSQUITTO="/m")
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stderr


def test_ci_gets_what_is_missing_and_runs_the_tests(checkout: Checkout) -> None:
    (checkout.root / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", checkout.root / ".ci" / "run")
    write_program(checkout.root / "test", "#!/bin/sh\necho tested\n")
    link_tools(checkout.tools, "bash dirname mktemp")
    write_program(checkout.tools / "apt-get", '#!/bin/sh\necho "apt-get $*" >>"$FAKE_LOG"\n')
    done = checkout.run(".ci/run")
    assert done.returncode == 0, done.stderr
    told, *others = [line for line in done.stdout.splitlines() if line.startswith("ci: installing ")]
    assert others == []
    assert told.startswith("ci: installing tmux shellcheck ")
    assert {"debootstrap", "systemd-container"} <= set(told.split())
    assert done.stdout.splitlines()[-1] == "tested", "when all is there"
    update, install = checkout.log()
    assert update == "apt-get -qq update"
    assert install.endswith(told.removeprefix("ci: installing "))
