"""Kills a headless tuner again and again: `python benchmarks/kills.py [--kills 200] [--mosquitto PATH]`.

A tuner with a real broker and a real load, windows of 0.1 s, gets a kill -9 at a random moment (drawn by `--seed`: from the
very start of the process to some trials later). Each time `runs recover` and `runs resume` follow, and the store is looked at.

Told are: trials acknowledged on stdout and how many of them the store has lost (there must be none), numbers used twice or left
out, the database's `integrity_check`, runs that were not marked as interrupted, seconds until a resumed run acknowledges
its first trial, how often the agent went on exactly, and the processes and temporary files that are left over. Exit code 1 if
anything was lost, broken or left over. `--json` for programs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.tuner import Tuner, World

_START_S = 90.0
_MOST_S = 3.0
"""After the first trial of a life, a kill comes within this time."""
_EARLY = 0.25
"""So many kills come before the first trial, at any moment of the start."""
_SETTLE_S = 10.0


@dataclass(slots=True)
class Kills:
    """One series: what was told, and what was found."""

    world: World
    chance: random.Random
    mosquitto: str | None
    run: str = ""
    acknowledged: Counter[int] = field(default_factory=Counter)
    """By trial number: how often it was told."""
    start_s: float = 8.0
    """What a start takes: early kills are spread over it."""
    first_trial_s: list[float] = field(default_factory=list)
    early: int = 0
    exact: int = 0
    not_exact: int = 0
    trouble: list[str] = field(default_factory=list)

    def arguments(self) -> list[str]:
        """Of the next tuner."""
        common = ["--json", "--save-dir", str(self.world.save_dir)]
        common += ["--mosquitto", self.mosquitto] if self.mosquitto else []
        if self.run:
            return ["runs", "resume", self.run, *common]
        return ["train", "--total-timesteps", "1000000", *common]

    def one(self) -> None:
        """One life, ended by a kill, and what comes after it."""
        tuner = Tuner(self.world, self.arguments())
        if self.run and self.chance.random() < _EARLY:
            self.early += 1
            time.sleep(self.chance.uniform(0.0, self.start_s))
        else:
            if not tuner.wait_for("trial", 1, _START_S):
                self.trouble.append(f"no trial came: {tuner.errors.read_text()[-300:]}")
            else:
                self.first_trial_s.append(time.monotonic() - tuner.started_at)
                self.start_s = self.first_trial_s[-1]
            time.sleep(self.chance.uniform(0.0, _MOST_S))
        if not tuner.alive():
            self.trouble.append(f"it had ended by itself: {tuner.errors.read_text()[-300:]}")
        tuner.kill()
        self.acknowledged.update(int(line["trial"]) for line in tuner.of("trial"))
        for line in tuner.of("notice"):
            said = str(line.get("message", ""))
            if "goes on after trial" in said:
                self.exact, self.not_exact = self.exact + ("otherwise" not in said), self.not_exact + ("otherwise" in said)
        self.run = self.run or next((str(line["run"]) for line in tuner.of("run")), "")
        self.recover()

    def recover(self) -> None:
        """`runs recover`, and a look at what it leaves."""
        done = self.command("runs", "recover", "--json")
        if done.returncode != 0:
            self.trouble.append(f"runs recover: {done.stderr.strip()[-300:]}")
        if self.run:
            state = json.loads(self.command("runs", "list", "--json").stdout)[0]["state"]
            if state != "interrupted":
                self.trouble.append(f"the run is {state}")
        if left := self.world.processes():
            deadline = time.monotonic() + _SETTLE_S  # the reaper may be at it
            while left and time.monotonic() < deadline:
                time.sleep(0.1)
                left = self.world.processes()
            self.trouble += [f"left over: {process}" for process in left]

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The program to its end."""
        command = [sys.executable, "-m", "brokertuner_tui", *words, "--save-dir", str(self.world.save_dir)]
        return subprocess.run(
            command,
            env=self.world.environment(),
            cwd=self.world.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def result(self) -> dict[str, Any]:
        """All figures."""
        with sqlite3.connect(f"file:{self.world.save_dir / 'store.db'}?mode=ro", uri=True) as store:
            integrity = store.execute("PRAGMA integrity_check").fetchone()[0]
            stored = [row[0] for row in store.execute("SELECT number FROM trials WHERE run = ? ORDER BY number", (self.run,))]
        store.close()
        numbers = set(stored)
        return {
            "acknowledged": len(self.acknowledged),
            "lost": len(set(self.acknowledged) - numbers),
            "told_twice": sum(count > 1 for count in self.acknowledged.values()),
            "stored": len(stored),
            "gaps": len(set(range(1, len(stored) + 1)) ^ numbers),
            "integrity": integrity,
            "killed_before_a_trial": self.early,
            "resumed_exactly": self.exact,
            "resumed_not_exactly": self.not_exact,
            "first_trial_median_s": statistics.median(self.first_trial_s) if self.first_trial_s else None,
            "first_trial_longest_s": max(self.first_trial_s, default=None),
            "temporary_files": [str(path.relative_to(self.world.folder)) for path in self.world.temporary_files()],
            "trouble": self.trouble,
        }


def main() -> int:
    """Runs it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--mosquitto", help="the program; default: as the tuner finds it")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        settings = {
            "BROKERTUNER_TUNING_STEP_INTERVAL_SEC": "0.1",
            "BROKERTUNER_TUNING_SETTLE_SEC": "0",
            "BROKERTUNER_TUNING_PRESET": "slo",
        }
        kills = Kills(World(Path(folder), settings), random.Random(options.seed), options.mosquitto)
        began = time.monotonic()
        done = 0
        with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C: what was found by then counts
            while done < options.kills:
                kills.one()
                done += 1
                if not options.json:
                    said = f"\r{done} of {options.kills} kills, {len(kills.acknowledged)} trials"
                    print(said, end="", file=sys.stderr, flush=True)
        for process in kills.world.processes():
            process.kill()
        result = {"kills": done, "seconds": time.monotonic() - began} | kills.result()
    if options.json:
        print(json.dumps(result))
    else:
        print(file=sys.stderr)
        for name, value in result.items():
            print(
                f"{name.replace('_', ' '):<24} {value:.1f}"
                if isinstance(value, float)
                else f"{name.replace('_', ' '):<24} {value}"
            )
    good = not (result["lost"] or result["told_twice"] or result["gaps"] or result["trouble"]) and result["integrity"] == "ok"
    return 0 if good and not result["temporary_files"] else 1


if __name__ == "__main__":
    sys.exit(main())
