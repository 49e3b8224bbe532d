"""Tunes while everything is killed at random: `python benchmarks/soak.py [--minutes 10] [--every 10] [--mosquitto PATH]`.

A headless tuner with a real broker and a real load; about every `--every` seconds the broker, the load or the tuner gets a
kill -9 (with `--freeze` a SIGSTOP, too), drawn at random (`--seed`). A killed tuner is resumed at once (`runs resume`). A
client of its own watches the broker fifty times a second from outside (PINGREQ) and listens to a topic of the load.

Told are: trials acknowledged on stdout, and how many of them the store has lost; for each kind of fault how long it took until
broker and load were there again (median, p99, longest); the share of the time with the broker up and the load running, and with
messages flowing; what is left over at the end: processes, temporary files; the tuner's memory and open files at the end of its
first and its last life. Exit code 1 if a trial was lost or a process is left over. `--json` for programs.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.tuner import Tuner, World, is_broker, is_load
from benchmarks.watcher import Seen, Watcher
from brokertuner_tui.broker.ports import free_port

_SHORT = ["--total-timesteps", "1000000"]
_SETTLED_S = 3.0


@dataclass(slots=True)
class Soak:
    """One soak: the tuner that lives now, what was done to it, and what was seen."""

    world: World
    mosquitto: Path | None
    workload: str
    port: int
    chance: random.Random
    acknowledged: dict[int, int] = field(default_factory=dict)
    """Trial number: how often it was told."""
    tuner: Tuner | None = None
    resumed: int = 0
    faults: list[dict[str, Any]] = field(default_factory=list)
    lives: list[dict[str, Any]] = field(default_factory=list)
    """The tuner's memory, sockets and files, once a second."""

    def start(self) -> None:
        """The first tuner."""
        program = ["--mosquitto", str(self.mosquitto)] if self.mosquitto else []
        where = ["--save-dir", str(self.world.save_dir), "--json"]
        self._run(["train", "--workload", self.workload, *program, *_SHORT, *where])

    def resume(self) -> None:
        """The next one, where the last one was killed."""
        self.resumed += 1
        self._run(["runs", "resume", "last", "--save-dir", str(self.world.save_dir), "--json"])

    def _run(self, arguments: list[str]) -> None:
        self.tuner = Tuner(self.world, arguments, on_line=self._told)

    def _told(self, line: Mapping[str, Any]) -> None:
        if line.get("event") == "trial":
            number = int(line["trial"])
            self.acknowledged[number] = self.acknowledged.get(number, 0) + 1

    def strike(self, kind: str, freeze: bool) -> None:
        """Kills (or freezes) one of them; nothing happens if it is not there just now."""
        assert self.tuner is not None
        number = signal.SIGSTOP if freeze else signal.SIGKILL
        at = time.monotonic()
        if kind == "tuner":
            self.tuner.kill()
            self.resume()
        else:
            wanted = is_broker if kind == "broker" else is_load
            victims = [process for process in self.world.processes() if wanted(process)]
            if not victims:
                return
            self.chance.choice(victims).send_signal(number)
        self.faults.append({"kind": f"{kind} frozen" if freeze else kind, "at": at})

    def look(self) -> None:
        """Notes what the tuner takes."""
        assert self.tuner is not None
        try:
            process = psutil.Process(self.tuner.pid)
            self.lives.append(
                {
                    "pid": process.pid,
                    "rss_mib": process.memory_info().rss / 2**20,
                    "files": process.num_fds(),
                    "threads": process.num_threads(),
                }
            )
        except psutil.Error:
            return

    def stored(self) -> list[int]:
        """The numbers of the trials in the store.

        Raises:
            RuntimeError: the file is damaged, or there is more than one run.
        """
        with sqlite3.connect(f"file:{self.world.save_dir / 'store.db'}?mode=ro", uri=True) as store:
            (verdict,) = store.execute("PRAGMA integrity_check").fetchone()
            runs = store.execute("SELECT DISTINCT run FROM trials").fetchall()
            if verdict != "ok" or len(runs) != 1:
                raise RuntimeError(f"integrity: {verdict}; runs: {runs}")
            return [number for (number,) in store.execute("SELECT number FROM trials ORDER BY number")]


def main() -> int:
    """Soaks, and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two faults, on average")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--freeze", action="store_true", help="SIGSTOP for broker and load, too")
    parser.add_argument("--workload", default="fanout")
    parser.add_argument("--mosquitto", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        result = soak(arguments, Path(name))
    print(json.dumps(result) if arguments.json else table(result))
    return 1 if result["lost"] or result["left"]["processes"] else 0


def soak(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Runs it."""
    chance = random.Random(arguments.seed)
    port = free_port("127.0.0.1")
    world = World(folder, {"BROKERTUNER_BROKER_PORT": str(port)})
    soak = Soak(world, arguments.mosquitto, arguments.workload, port, chance)
    watcher = Watcher(soak.port, soak.world.find_load)
    try:
        soak.start()
        assert soak.tuner is not None
        if not soak.tuner.wait_for("trial", 2, 120.0):
            raise SystemExit(f"the tuner does not start: {soak.tuner.last_words()}")
        watcher.start()
        began = time.monotonic()
        ends = began + 60 * arguments.minutes
        due = began + chance.expovariate(1 / arguments.every)
        said = began
        while time.monotonic() < ends:
            if not soak.tuner.alive():
                raise SystemExit(f"the tuner ended by itself: {soak.tuner.last_words()}")
            if time.monotonic() >= due:
                kind = chance.choice(["broker", "load", "tuner"])
                soak.strike(kind, arguments.freeze and kind != "tuner" and chance.random() < 0.5)
                # Faults on top of each other say little about one of them; never closer than a third of the mean.
                due = time.monotonic() + max(arguments.every / 3, chance.expovariate(1 / arguments.every))
            soak.look()
            if time.monotonic() - said >= 30:
                said = time.monotonic()
                print(progress(soak, said - began), file=sys.stderr, flush=True)
            time.sleep(0.5)
        time.sleep(_SETTLED_S)
        seen = watcher.stop()
        soak.tuner.process.terminate()
        code = soak.tuner.end(60.0)
    finally:
        watcher.stop()
        for process in soak.world.processes():  # ours by their mark, whatever happened above
            if soak.tuner is not None and process.pid == soak.tuner.pid:
                process.kill()
    time.sleep(1.0)
    left = soak.world.processes()
    result = summary(soak, seen, began, code)
    result["left"] = {"processes": len(left), "temporary_files": len(soak.world.temporary_files())}
    for process in left:
        process.kill()
    return result


def progress(soak: Soak, seconds: float) -> str:
    """One line."""
    return f"{seconds:5.0f} s: {len(soak.acknowledged)} trials acknowledged, {len(soak.faults)} faults, {soak.resumed} resumed"


def summary(soak: Soak, seen: Seen, began: float, code: int) -> dict[str, Any]:
    """The figures."""
    stored = soak.stored()
    told = soak.acknowledged
    kinds = sorted({fault["kind"] for fault in soak.faults})
    recoveries = {kind: seen.recoveries([fault["at"] for fault in soak.faults if fault["kind"] == kind]) for kind in kinds}
    first_life = [look for look in soak.lives if look["pid"] == soak.lives[0]["pid"]]
    last_life = [look for look in soak.lives if look["pid"] == soak.lives[-1]["pid"]]
    return {
        "seconds": seen.until - began,
        "faults": {kind: sum(fault["kind"] == kind for fault in soak.faults) for kind in kinds},
        "resumed": soak.resumed,
        "acknowledged": len(told),
        "lost": sorted(set(told) - set(stored)),
        "told_twice": sorted(number for number, times in told.items() if times > 1),
        "gaps_in_numbers": stored != list(range(1, len(stored) + 1)),
        "recovery_s": {
            kind: {"median": statistics.median(times), "p99": _p99(times), "longest": max(times), "n": len(times)}
            for kind, times in recoveries.items()
            if times
        },
        "share_up": seen.share_up(),
        "share_broker_up": seen.share_broker_up(),
        "share_flowing": seen.share_flowing(),
        "exit_code": code,
        "first_life": first_life[-1],
        "last_life": last_life[-1],
    }


def _p99(times: list[float]) -> float:
    return sorted(times)[min(len(times) - 1, int(0.99 * len(times)))]


def table(result: Mapping[str, Any]) -> str:
    """For people."""
    lines = [
        f"{result['seconds']:.0f} s, faults: {result['faults']}, resumed {result['resumed']} times",
        f"trials acknowledged {result['acknowledged']}, lost {len(result['lost'])}, told twice {len(result['told_twice'])}",
        f"broker up and load running {result['share_up']:.2%}, broker up {result['share_broker_up']:.2%}, "
        f"messages flowing {result['share_flowing']:.2%}",
        f"left over: {result['left']}; exit code of the last tuner {result['exit_code']}",
        f"tuner: first life {result['first_life']}, last {result['last_life']}",
    ]
    for kind, times in result["recovery_s"].items():
        lines.append(
            f"{kind:14} there again after {times['median']:.2f} s (median), {times['p99']:.2f} s (p99), "
            f"{times['longest']:.2f} s (longest), {times['n']} times"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
