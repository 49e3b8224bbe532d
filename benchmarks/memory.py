"""How the tuner's memory grows: `python benchmarks/memory.py [--trials 2000] [--after 200] [--mosquitto PATH] [--json]`.

A headless tuner on a real broker and load, with short trials. Its resident memory is read after every trial; told is the
growth from the median of twenty trials up to number `--after` to the median of the last twenty, in per cent, and every tenth of
the way.
Open files and threads, too. The target is 5 %.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.tuner import Tuner, World

_TARGET = 5.0


def main() -> int:
    """Runs it and prints the growth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--after", type=int, default=200)
    parser.add_argument("--workload", default="telemetry")
    parser.add_argument("--mosquitto", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        looks = watch(World(Path(name)), arguments)
    rss = [look["rss_mib"] for look in looks]
    before, after = around(rss, arguments.after), around(rss, len(rss))
    growth = 100 * (after / before - 1)
    result = {
        "trials": len(looks),
        "rss_before_mib": before,
        "rss_after_mib": after,
        "growth_percent": growth,
        "target_percent": _TARGET,
        "rss_mib": [round(around(rss, len(rss) * tenth // 10), 1) for tenth in range(1, 11)],
        "files": [looks[min(arguments.after, len(looks)) - 1]["files"], looks[-1]["files"]],
        "threads": [looks[min(arguments.after, len(looks)) - 1]["threads"], looks[-1]["threads"]],
    }
    print(json.dumps(result) if arguments.json else "\n".join(f"{name:16} {value}" for name, value in result.items()))
    return 0 if growth <= _TARGET else 1


def watch(world: World, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A look after each trial."""
    looks: list[dict[str, Any]] = []
    config = world.folder / "brokertuner.toml"
    config.write_text("[tuning]\nstep_interval_sec = 0.05\nsettle_sec = 0.0\nconfirm_windows = 2\nablation_windows = 0\n")
    program = ["--mosquitto", str(arguments.mosquitto)] if arguments.mosquitto else []
    what = ["--workload", arguments.workload, "--total-timesteps", str(arguments.trials)]
    tuner = Tuner(world, ["train", *what, *program, "--config", str(config), "--save-dir", str(world.save_dir), "--json"])
    process = psutil.Process(tuner.pid)
    said = time.monotonic()
    try:
        while tuner.alive() and len(looks) < arguments.trials:
            if len(tuner.of("trial")) > len(looks):
                looks.append(
                    {
                        "rss_mib": process.memory_info().rss / 2**20,
                        "files": process.num_fds(),
                        "threads": process.num_threads(),
                    }
                )
            time.sleep(0.01)
            if time.monotonic() - said > 30:
                said = time.monotonic()
                print(f"{len(looks)} trials, {looks[-1] if looks else ''}", file=sys.stderr, flush=True)
        code = tuner.end(120.0)
    finally:
        if tuner.alive():
            tuner.process.terminate()
            tuner.end(60.0)
    if code:
        raise SystemExit(f"the tuner ended with {code}: {tuner.last_words()}")
    return looks


def around(values: list[float], place: int) -> float:
    """The median of the twenty values that end at `place`."""
    return statistics.median(values[max(0, place - 20) : place] or values[:1])


if __name__ == "__main__":
    sys.exit(main())
