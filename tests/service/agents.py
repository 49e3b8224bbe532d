"""A service for a test: the real thing on a free port, in a thread of this process or in one of its own."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil

from brokertuner_tui.config.settings import BrokerSettings, ServiceSettings, Settings
from brokertuner_tui.service import run
from brokertuner_tui.workload.profile import Workload
from tests.cli.program import command, environment
from tests.service.client import Client

START_S = 60.0


class Agent:
    """A service in a thread."""

    def __init__(
        self,
        folder: Path,
        mosquitto: Path,
        *,
        interval_s: float = 0.0,
        tune: Workload | None = None,
        settings: Settings | None = None,
        broker: BrokerSettings | None = None,
        **options: Any,
    ) -> None:
        self.folder = folder
        base = settings or Settings()
        self._settings = base.model_copy(
            update={
                "broker": broker or BrokerSettings(mosquitto=mosquitto),
                "service": ServiceSettings(**{"port": 0, "allow_changes": True, **options}),
            }
        )
        self._interval_s, self._tune = interval_s, tune
        self._stop, self._up = threading.Event(), threading.Event()
        self._told: run.Started | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="service under test")

    def start(self) -> Client:
        """Starts it; the client has the token."""
        self._thread.start()
        deadline = time.monotonic() + START_S
        while not self._up.wait(0.01):
            if self.error is not None:
                raise self.error
            assert time.monotonic() < deadline
        assert self._told is not None
        return Client(self._told.url, self._told.token_file.read_text().strip())

    def stop(self) -> float:
        """Ends it; the seconds that took."""
        began = time.monotonic()
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(60)
            assert not self._thread.is_alive()
        return time.monotonic() - began

    def _run(self) -> None:
        try:
            run.serve(
                self._settings,
                self.folder,
                tune=self._tune,
                stopped=self._stop.is_set,
                started=self._started,
                min_interval_s=self._interval_s,
            )
        except BaseException as error:
            self.error = error

    def _started(self, told: run.Started) -> None:
        self._told = told
        self._up.set()


@dataclass
class Program:
    """The command in a process of its own."""

    process: subprocess.Popen[str]
    errors: Path
    client: Client

    @property
    def broker(self) -> psutil.Process:
        """Its Mosquitto."""
        return psutil.Process(self.client.get("/state").data["broker"]["pid"])

    def kin(self) -> list[psutil.Process]:
        """It and all that it has started."""
        me = psutil.Process(self.process.pid)
        return [me, *me.children(recursive=True)]


def start_program(home: Path, mosquitto: Path, *more: str) -> Program:
    """`brokertuner-tui serve` on a free port, in the folder `home`."""
    errors = home / f"stderr-{time.monotonic_ns()}.txt"
    arguments = ["serve", "--listen", "127.0.0.1:0", "--mosquitto", str(mosquitto), "--save-dir", str(home / "data"), *more]
    with open(errors, "w") as file:
        process = subprocess.Popen(
            command(*arguments), cwd=home, env=environment(home), stdin=subprocess.DEVNULL, stderr=file, text=True
        )
    try:
        url = until(lambda: _url(errors), START_S, process)
    except BaseException:
        process.kill()
        process.wait(30)
        raise
    return Program(process, errors, Client(url, (home / "data" / "service" / "token").read_text().strip()))


def _url(errors: Path) -> str | None:
    for line in errors.read_text().splitlines():
        if line.startswith("serving "):
            return line.partition(" at ")[2].partition(";")[0]
    return None


T = TypeVar("T")


def until(look: Callable[[], T | None], within_s: float = 30.0, process: subprocess.Popen[str] | None = None) -> T:
    """What `look` sees as soon as it sees something."""
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        assert process is None or process.poll() is None, f"ended with {process.returncode if process else ''}"
        assert time.monotonic() < deadline, "did not come"
        time.sleep(0.02)


class SlowMosquitto:
    """A Mosquitto that waits before it starts, as long as it is held: a restart then takes its time."""

    def __init__(self, folder: Path, real: Path) -> None:
        self.program, self._held = folder / "slow" / "mosquitto", folder / "held"
        self.program.parent.mkdir()
        self.program.write_text(f'#!/bin/sh\nwhile [ -e "{self._held}" ]; do sleep 0.02; done\nexec "{real}" "$@"\n')
        self.program.chmod(0o700)

    def hold(self) -> None:
        """From now on it does not start."""
        self._held.touch()

    def release(self) -> None:
        """It may start."""
        self._held.unlink()


def picky_mosquitto(folder: Path, real: Path, line: str) -> Path:
    """A Mosquitto that does not start where `line` stands in its config, and says why: its memory is not enough."""
    program = folder / "picky" / "mosquitto"
    program.parent.mkdir()
    program.write_text(
        f"""#!/bin/sh
for word in "$@"; do
  if [ -f "$word" ] && grep -rqs '^{line}$' "$(dirname "$word")"; then echo 'Error: Out of memory.' >&2; exit 1; fi
done
exec "{real}" "$@"
"""
    )
    program.chmod(0o700)
    return program


def fragile_mosquitto(folder: Path, real: Path, broken: Path) -> Path:
    """A Mosquitto that ends at once (exit code 7) while the file `broken` is there."""
    program = folder / "fragile" / "mosquitto"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ -e "{broken}" ] && exit 7\nexec "{real}" "$@"\n')
    program.chmod(0o700)
    return program


def left_of(kin: list[psutil.Process], within_s: float = 15.0) -> list[psutil.Process]:
    """Those that still run after some time to go; an ended one that nobody has waited for counts as gone."""
    deadline = time.monotonic() + within_s
    while (left := [process for process in kin if _runs(process)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
