"""Starts and stops, half of them violent, and what they leave: `python benchmarks/starts.py [--times 100] [--mosquitto PATH]`.

Each time a headless tuner is started on a real broker and load and ended at a random moment of its first seconds: by turns with
SIGINT or SIGTERM, and with kill -9 to the tuner alone, to the tuner and its reaper, or to the broker and then the tuner. Told
are processes that are still there fifteen seconds later (after `runs recover`, where the reaper was killed, too), listening
sockets on the broker's port, temporary files, and files in the program's registry of children. Exit code 1 if anything is left.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.tuner import Tuner, World, is_broker
from brokertuner_tui.broker.ports import free_port, is_free

GENTLY = ("SIGINT", "SIGTERM")
VIOLENT = ("tuner", "tuner and reaper", "broker and tuner")
_GONE_S = 15.0


def main() -> int:
    """Starts and stops, and prints what is left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workload", default="telemetry")
    parser.add_argument("--mosquitto", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        port = free_port("127.0.0.1")
        world = World(Path(name), {"BROKERTUNER_BROKER_PORT": str(port)})
        rows = []
        for number in range(arguments.times):
            how = chance.choice(VIOLENT) if number % 2 else chance.choice(GENTLY)
            rows.append(once(world, port, how, chance.uniform(0.1, 4.0), arguments))
            if number % 10 == 9:
                print(f"{number + 1} of {arguments.times}", file=sys.stderr, flush=True)
        files = [str(path.relative_to(world.folder)) for path in world.temporary_files()]
        registered = [path.name for path in world.folder.rglob("children/*")]
        left = world.processes()
        result = {
            "times": len(rows),
            "violent": sum(row["how"] in VIOLENT for row in rows),
            "processes": sum(row["processes"] for row in rows) + len(left),
            "port_held": sum(row["port_held"] for row in rows),
            "temporary_files": files,
            "registered_children": registered,
            "slowest_end_s": max(row["gone_s"] for row in rows),
            "exit_codes": {how: sorted({row["code"] for row in rows if row["how"] == how}) for how in (*GENTLY, *VIOLENT)},
        }
        for process in left:
            process.kill()
    print(json.dumps(result) if arguments.json else "\n".join(f"{name:20} {value}" for name, value in result.items()))
    return 1 if any(result[name] for name in ("processes", "port_held", "temporary_files", "registered_children")) else 0


def once(world: World, port: int, how: str, after_s: float, arguments: argparse.Namespace) -> dict[str, Any]:
    """One start and its end."""
    program = ["--mosquitto", str(arguments.mosquitto)] if arguments.mosquitto else []
    where = ["--save-dir", str(world.save_dir), "--json"]
    tuner = Tuner(world, ["train", "--workload", arguments.workload, "--total-timesteps", "1000", *program, *where])
    time.sleep(after_s)
    at = time.monotonic()
    if how in GENTLY:
        tuner.process.send_signal(signal.Signals[how])
    else:
        for victim in victims(world, tuner, how):
            try:
                victim.kill()
            except psutil.NoSuchProcess:
                continue
    code = tuner.end(60.0)
    if how == "tuner and reaper":  # nobody is left who could end the children: the next start does
        Tuner(world, ["runs", "recover", "--save-dir", str(world.save_dir), "--json"]).end(60.0)
    while (left := world.processes()) and time.monotonic() - at < _GONE_S:
        time.sleep(0.02)
    gone_s = time.monotonic() - at
    for process in left:
        print(f"{how}: left over: {process}", file=sys.stderr, flush=True)
        process.kill()
    return {"how": how, "code": code, "processes": len(left), "port_held": not is_free("127.0.0.1", port), "gone_s": gone_s}


def victims(world: World, tuner: Tuner, how: str) -> list[psutil.Process]:
    """Whom to kill, in order."""
    us = psutil.Process(tuner.pid)
    if how == "tuner and reaper":
        return [*(process for process in world.processes() if "reaper.py" in " ".join(process.cmdline())), us]
    if how == "broker and tuner":
        return [*(process for process in world.processes() if is_broker(process)), us]
    return [us]


if __name__ == "__main__":
    sys.exit(main())
