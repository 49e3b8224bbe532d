"""Agents to test against: `brokertuner-tui serve` as a process of its own, with a real Mosquitto."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_STARTED = re.compile(r"serving \S+ at (\S+); the token .* in (\S+?)(?:; .*)?$", re.MULTILINE)
_DEADLINE_S = 60.0
ROOT = Path(__file__).parents[1]


class Agent:
    """One agent that can be killed and started again at the same address, with the same folder."""

    def __init__(self, folder: Path, mosquitto: Path, more: Sequence[str] = ("--allow-changes",)) -> None:
        self.folder, self._mosquitto, self._more = folder, mosquitto, list(more)
        self._log = folder / "agent.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.token_file = Path()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process is not None
        return self._process.pid

    def launch(self) -> None:
        """Starts the process; `started` waits for it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        mark = self._log.stat().st_size if self._log.exists() else 0
        listen = f"127.0.0.1:{self.port if self.url else 0}"
        command = [sys.executable, "-m", "brokertuner_tui", "serve", "--listen", listen, "--mosquitto", str(self._mosquitto)]
        command += ["--save-dir", str(self.folder / "data"), *self._more]
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        mine = {key: value for key, value in os.environ.items() if not key.startswith("BROKERTUNER_")}
        environment = mine | {"PYTHONPATH": str(ROOT), "HOME": str(home), "XDG_CONFIG_HOME": str(home), "COLUMNS": "500"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=home, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._mark = mark

    def started(self) -> Agent:
        """Waits until it serves."""
        assert self._process is not None
        deadline = time.monotonic() + _DEADLINE_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if found := _STARTED.search(self.log()):
                self.url, self.token_file = found[1], Path(found[2])
                return self
            time.sleep(0.02)
        raise AssertionError(f"the agent does not serve: {self.log()}")

    def start(self) -> Agent:
        """Starts it and waits until it serves."""
        self.launch()
        return self.started()

    def log(self) -> str:
        """What it has written since it was started last."""
        return self._log.read_bytes()[self._mark :].decode()

    def kill(self) -> None:
        """With -9; its Mosquitto is ended by its reaper."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        self._process = None

    def stop(self) -> None:
        """In good order. May be called again."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
            raise
        finally:
            self._process = None

    @property
    def broker_starts(self) -> int:
        """How often its Mosquitto was started, by the broker's own log."""
        logs = sorted((self.folder / "data").rglob("*.log*"))
        return sum(log.read_text(errors="replace").count(" starting\n") for log in logs)
