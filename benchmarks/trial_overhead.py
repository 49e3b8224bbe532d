"""A trial's overhead beyond its settling and measuring: `python benchmarks/trial_overhead.py [--json] [--mosquitto PATH]`.

A whole session on `fanout` (101 clients) or another workload: every phase's median, and the 95th percentile of the sum.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from brokertuner_tui.config.load import load_settings
from brokertuner_tui.config.workloads import get_workload
from brokertuner_tui.tuning.events import RunFinished, TrialFinished
from brokertuner_tui.tuning.session import TuningSession


def main() -> None:
    """Runs the session and prints the phases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--mosquitto", type=Path)
    parser.add_argument("--workload", default="fanout")
    parser.add_argument("--trials", type=int, default=40)
    arguments = parser.parse_args()

    overrides: dict[str, object] = {
        "tuning.total_timesteps": arguments.trials,
        "tuning.confirm_windows": 2,
        "tuning.ablation_windows": 0,
    }
    if arguments.mosquitto:
        overrides["broker.mosquitto"] = str(arguments.mosquitto)
    loaded = load_settings(config_file=None, overrides=overrides, environ={}, cwd=Path("/"))
    with tempfile.TemporaryDirectory() as folder:
        session = TuningSession(loaded.settings, get_workload(loaded, arguments.workload), Path(folder))
        reader = session.events.subscribe()
        session.start()
        trials: list[TrialFinished] = []
        while not isinstance(event := reader.get(60.0), RunFinished):
            if event is None:
                raise SystemExit("the session is silent")
            if isinstance(event, TrialFinished):
                trials.append(event)
        session.join(30)
    if session.error:
        raise SystemExit(str(session.error))

    timings = [trial.outcome.timings for trial in trials if trial.verdict == "ok"]
    overheads = sorted(1000 * timing.overhead_s for timing in timings)
    phases = [name for name in asdict(timings[0]) if name not in ("settle_s", "measure_s", "planned_s")]
    result: dict[str, object] = {
        "workload": arguments.workload,
        "trials": len(timings),
        "overhead_p50_ms": statistics.median(overheads),
        "overhead_p95_ms": overheads[int(0.95 * len(overheads))],
        "target_p50_ms": 150,
    }
    result |= {
        f"{name.removesuffix('_s')}_p50_ms": 1000 * statistics.median(getattr(timing, name) for timing in timings)
        for name in phases
    }
    if arguments.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:20} {value:.1f}" if isinstance(value, float) else f"{name:20} {value}")


if __name__ == "__main__":
    main()
