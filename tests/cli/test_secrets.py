"""A password gets the program in, and is left nowhere: not in the store, a log, an output, a command line or an environment."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from brokertuner_tui.config.credentials import PASSWORD_VARIABLE
from tests.broker.fake_units import FakeUnit
from tests.broker.secure import PASSWORD, USERNAME, Authority, password_line, start_secured
from tests.cli.program import command, environment, error_of, lines_of, run

SECRET = PASSWORD.split()[0]  # as it stands in every encoding and with every escape
LOAD = """
[workload.small]
publishers = 2
subscribers = 2
topics = 2
qos = 1
rate = 400
slo_ms = 1000
"""
TUNING = """
[tuning]
step_interval_sec = 0.3
settle_sec = 0.05
confirm_windows = 2
ablation_windows = 0
[load]
workload = "small"
"""


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.touch(mode=0o600)
    path.write_text(PASSWORD + "\n")
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def watched(home: Path, *arguments: str, more: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Runs the program as `run` does, and looks at its children's command lines and environments all the while."""
    with open(home / "out.txt", "w") as out, open(home / "err.txt", "w") as err:
        process = subprocess.Popen(
            command(*arguments), cwd=home, env=environment(home, more), stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
    seen: set[str] = set()
    deadline = time.monotonic() + 120
    while process.poll() is None:
        assert time.monotonic() < deadline
        with contextlib.suppress(psutil.NoSuchProcess):
            assert SECRET not in " ".join(psutil.Process(process.pid).cmdline())
            for child in psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    words = child.cmdline()
                    assert SECRET not in " ".join(words)
                    # Between fork and exec a child shows our own environment; what the operator's commands start gets it, too.
                    if any(ours in " ".join(words) for ours in ("workload.generator", "reaper.py")):
                        assert SECRET not in str(child.environ())
                        seen.add(words[-2])
        time.sleep(0.02)
    told = (home / "out.txt").read_text(), (home / "err.txt").read_text()
    assert "brokertuner_tui.workload.generator" in seen, told
    return process.returncode, *told


def files_with_secret(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def test_config_show(home: Path, password_file: Path) -> None:
    (home / "brokertuner.toml").write_text(f'[broker]\nusername = "{USERNAME}"\npassword_file = "{password_file}"\n')
    for words in (("config", "show"), ("config", "show", "--json")):
        ended = run(home, *words, more={PASSWORD_VARIABLE: PASSWORD})
        assert ended.returncode == 0, ended.stderr
        assert SECRET not in ended.stdout + ended.stderr
    assert json.loads(ended.stdout)["settings"]["broker.username"]["value"] == USERNAME


@pytest.mark.parametrize("listener", ["tls", "plain"])
def test_workload(home: Path, mosquitto: Path, password_file: Path, listener: str) -> None:
    """Over TLS with the password from the environment, and without with one from a file."""
    (home / "w.toml").write_text(LOAD)
    folder = home.parent / "broker"
    folder.mkdir()
    with start_secured(mosquitto, folder, listeners=(listener,)) as broker:
        words = ["workload", "small", "--duration", "1", "--json", "--workload-file", "w.toml"]
        words += ["--host", "127.0.0.1", "--port", str(broker.ports[listener]), "--username", USERNAME]
        if listener == "tls":
            words += ["--tls", "--ca-file", str(broker.authority.ca_file)]
            more = {PASSWORD_VARIABLE: PASSWORD}
        else:
            more = {"BROKERTUNER_BROKER_PASSWORD_FILE": str(password_file)}
        code, out, err = watched(home, *words, more=more)
        assert code == 0, err
        assert lines_of(out)[-1]["on_time_per_s"] > 50
        assert files_with_secret(home) == []

        ended = run(home, *words, more={PASSWORD_VARIABLE: "not " + PASSWORD})
        assert ended.returncode == 3
        scheme = "mqtts" if listener == "tls" else "mqtt"
        assert error_of(ended) == (
            f"the broker at {scheme}://127.0.0.1:{broker.ports[listener]} does not let us in: "
            "the broker refused the connection: not authorised (CONNACK code 135)"
        )
        assert SECRET not in ended.stderr


def test_wrong_doors(home: Path, mosquitto: Path) -> None:
    (home / "w.toml").write_text(LOAD)
    with start_secured(mosquitto, home.parent, listeners=("tls",)) as broker:
        words = ["workload", "small", "--workload-file", "w.toml", "--port"]
        said = error_of(run(home, *words, str(broker.ports["tls"])))
        assert said.endswith("does the port want TLS, or a WebSocket?")
        said = error_of(run(home, *words, str(broker.ports["tls"]), "--tls"))
        assert said.endswith("signed by nobody that we trust (broker.ca_file says whom to trust)")
        said = error_of(run(home, *words, str(broker.ports["plain"]), "--ca-file", "x"))
        assert said == f"broker.ca_file = '{home / 'x'}': is for broker.tls = true, which it is not"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--broker", "docker"], "--broker docker: must be managed, systemd, command, or an agent's URL (https://host:8080)"),
        (["--broker", "mqtt://me:hunter2@h"], "--broker mqtt://me:***@h: must be managed, systemd, command, or"),
        (["--tls"], "--username, --tls and --ca-file are for a broker that --host or --port names"),
        (
            ["--broker", "managed", "--port", "1883"],
            "--broker says which broker; --host, --port, --username, --tls and --ca-file",
        ),
    ],
)
def test_flags_that_contradict_each_other(home: Path, words: list[str], said: str) -> None:
    ended = run(home, "workload", "fanout", *words)
    assert ended.returncode == 2
    assert error_of(ended).startswith(said)


def test_a_whole_run_on_the_operators_broker(home: Path, mosquitto: Path, password_file: Path) -> None:
    """Tuned over TLS with a login; then every file is looked at."""
    authority = Authority(home.parent)
    server = authority.issue("server", names=("localhost",))
    users = home.parent / "users"
    users.touch(mode=0o600)
    users.write_text(password_line(USERNAME, PASSWORD))
    unit = FakeUnit(
        home.parent / "unit", mosquitto,
        main=f"allow_anonymous false\npassword_file {users}\ncafile {authority.ca_file}\ncertfile {server.cert_file}\n"
        f"keyfile {server.key_file}\n",
    )  # fmt: skip
    commands = "\n".join(f"{verb} = {json.dumps(unit.command(verb))}" for verb in ("restart", "reload", "status", "log", "pid"))
    (home / "brokertuner.toml").write_text(
        f'[broker]\nkind = "command"\nhost = "localhost"\nport = {unit.port}\nusername = "{USERNAME}"\ntls = true\n'
        f'ca_file = "{authority.ca_file}"\nmain_config = "{unit.main}"\nmosquitto = "{mosquitto}"\n'
        f"[broker.command]\n{commands}\n{LOAD}{TUNING}"
    )
    try:
        unit.start()
        words = ["train", "--total-timesteps", "1", "--json", "--save-dir", "s"]
        code, out, err = watched(home, *words, more={PASSWORD_VARIABLE: PASSWORD})
        lines = lines_of(out)
        assert code == 0, err + out
        trials = [line for line in lines if line["event"] == "trial"]
        assert trials[0]["verdict"] == "ok"
        assert trials[0]["on_time_per_s"] > 50
        assert SECRET not in out + err
        assert (home / "s").is_dir()
        assert files_with_secret(home) == []
        assert files_with_secret(unit.folder) == []
    finally:
        unit.stop()
