"""The headline: `train --total-timesteps 60` on `fanout`, as a user runs it: `python benchmarks/tune_fanout.py [--json]`.

Targets on Mosquitto 2.0.21: ends in 120 s or less; the best confirmed setting delivers 1.5 times what the default delivers, and
95 % of it or more on time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def run(mosquitto: Path | None, workload: str, seed: int, timesteps: int) -> dict[str, Any]:
    """One run; its summary, and the figures that the targets are about."""
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, "-m", "brokertuner_tui", "train", "--json", "--workload", workload]
        argv += ["--total-timesteps", str(timesteps), "--save-dir", folder, "--seed", str(seed)]
        if mosquitto:
            argv += ["--mosquitto", str(mosquitto)]
        began = time.monotonic()
        done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)})
        wall_s = time.monotonic() - began
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode or not lines:
        raise SystemExit(f"train ended with {done.returncode}")
    summary = lines[-1]
    confirmed = [line for line in lines if line["event"] == "confirmed"][-1]
    trials = [line for line in lines if line["event"] == "trial"]
    best_single = max((trial["on_time_per_s"] or 0.0) for trial in trials)
    return {
        "seed": seed,
        "wall_s": wall_s,
        "default": confirmed["default"],
        "best": confirmed["best"],
        "delivered_ratio": confirmed["best"]["received_per_s"] / max(1.0, confirmed["default"]["received_per_s"]),
        "on_time_share": confirmed["best"]["on_time_share"],
        "while_tuning": sum(trial["on_time_per_s"] or 0.0 for trial in trials) / len(trials) / max(1.0, best_single),
        "nothing_on_time": sum(1 for trial in trials if not trial["on_time_per_s"]),
        "knobs": summary["best"]["knobs"],
    }


def main() -> None:
    """Runs each seed and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--mosquitto", type=Path)
    parser.add_argument("--workload", default="fanout")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--timesteps", type=int, default=60)
    arguments = parser.parse_args()
    for seed in range(arguments.seeds):
        result = run(arguments.mosquitto, arguments.workload, seed, arguments.timesteps)
        if arguments.json:
            print(json.dumps(result), flush=True)
            continue
        print(
            f"seed {seed}: {result['wall_s']:.0f} s; delivered {result['delivered_ratio']:.2f} x the default, "
            f"{100 * result['on_time_share']:.1f} % on time; while tuning {result['while_tuning']:.2f} of the best trial, "
            f"{result['nothing_on_time']} trials with nothing on time",
            flush=True,
        )


if __name__ == "__main__":
    main()
