"""A headless tuner as a process of its own, for benchmarks that kill it: what it acknowledged, and what it left behind."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
_MARK = "BTT_BENCHMARK"


@dataclass(slots=True)
class World:
    """A private place for a tuner's files and folders, and a mark that every process of it carries in its environment."""

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    """Environment variables of the program, such as BROKERTUNER_BROKER_PORT."""
    mark: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def save_dir(self) -> Path:
        """Store, checkpoints, runs."""
        return self.folder / "results"

    def environment(self) -> dict[str, str]:
        """Ours, with every folder of the program inside `folder`."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BROKERTUNER_")}
        homes = {f"XDG_{kind}_HOME": str(self.folder / kind.lower()) for kind in ("CONFIG", "DATA", "STATE", "CACHE")}
        path = f"{ROOT}{os.pathsep}{os.environ['PYTHONPATH']}" if os.environ.get("PYTHONPATH") else str(ROOT)
        return kept | homes | dict(self.settings) | {"PYTHONPATH": path, _MARK: self.mark}

    def processes(self) -> list[psutil.Process]:
        """Every living process that was started with our mark, however it is related to us now."""
        wanted = f"{_MARK}={self.mark}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if wanted in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(psutil.Process(int(entry.name)))
                except (OSError, psutil.NoSuchProcess):
                    continue
        return [process for process in found if _lives(process)]

    def find_load(self) -> psutil.Process | None:
        """The generator's process, if there is one."""
        return next((process for process in self.processes() if is_load(process)), None)

    def temporary_files(self) -> list[Path]:
        """Files that a write which was cut off has left."""
        return [path for path in self.folder.rglob("*") if path.is_file() and path.suffix in (".new", ".part", ".tmp")]


class Tuner:
    """One process of the program; `lines` are the objects that it has put on stdout, each with `read_at` (monotonic)."""

    def __init__(self, world: World, arguments: list[str], *, on_line: Any = None) -> None:
        self.lines: list[Mapping[str, Any]] = []
        self._on_line = on_line
        self.errors = world.folder / "stderr.txt"
        with open(self.errors, "ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "brokertuner_tui", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=world.environment(),
                cwd=world.folder,
                start_new_session=True,
            )
        self.started_at = time.monotonic()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Of the tuner."""
        return self.process.pid

    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def of(self, event: str) -> list[Mapping[str, Any]]:
        """The lines of one kind."""
        return [line for line in list(self.lines) if line.get("event") == event]

    def wait_for(self, event: str, count: int = 1, timeout_s: float = 60.0) -> bool:
        """Waits until so many lines of a kind have come; False when it ends before, or does not come to it in time."""
        deadline = time.monotonic() + timeout_s
        while len(self.of(event)) < count:
            if time.monotonic() >= deadline or (not self.alive() and not self._reader.is_alive()):
                return False
            time.sleep(0.01)
        return True

    def kill(self) -> None:
        """As `kill -9`; what it had written by then is read to the end."""
        self.process.kill()
        self.end(10.0)

    def end(self, timeout_s: float = 60.0) -> int:
        """Waits for the end of the process and of its output; gives the exit code.

        Raises:
            subprocess.TimeoutExpired: it does not end.
        """
        code = self.process.wait(timeout_s)
        self._reader.join(10.0)
        return code

    def last_words(self) -> str:
        """The end of what it said on stderr."""
        return self.errors.read_text(errors="replace")[-2000:]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for raw in self.process.stdout:
            try:
                line = json.loads(raw)
            except ValueError:
                continue  # half a line, of a process that was killed
            line["read_at"] = time.monotonic()
            self.lines.append(line)
            if self._on_line is not None:
                self._on_line(line)


def is_broker(process: psutil.Process) -> bool:
    """Whether it runs a Mosquitto of ours."""
    return _says(process, "mosquitto.conf")


def is_load(process: psutil.Process) -> bool:
    """Whether it is the built-in generator."""
    return _says(process, "brokertuner_tui.workload.generator")


def _says(process: psutil.Process, what: str) -> bool:
    try:
        return any(what in part for part in process.cmdline())
    except psutil.Error:
        return False


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
