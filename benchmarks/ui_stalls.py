"""How long the screen stands still while it tunes: `python benchmarks/ui_stalls.py [--json] [--trials N] [--mosquitto PATH]`.

The real app in a pseudo-terminal of 150x40, on the real session, from before the import of torch until N trials are done. A
task in the app's own event loop wants to run every 5 ms; what it comes late is how long a key would have waited.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.tui.terminal import Terminal

ROOT = Path(__file__).resolve().parents[1]
STEP_S = 0.005
LIMIT_S = 240.0
TARGETS = {"max_ms": 250.0, "p99_ms": 50.0}


def watch_the_loop(late: list[tuple[float, float]]) -> asyncio.Task[None]:
    """Notes (time, seconds late) at every step of the loop that runs now."""

    async def watch() -> None:
        while True:
            due = time.perf_counter() + STEP_S
            await asyncio.sleep(STEP_S)
            late.append((time.perf_counter(), max(0.0, time.perf_counter() - due)))

    return asyncio.create_task(watch())


def child(result: Path, folder: Path, trials: int, mosquitto: str | None) -> None:
    """In the terminal: the app, watched."""
    from brokertuner_tui import paths
    from brokertuner_tui.config.load import load_settings
    from brokertuner_tui.config.workloads import get_workload
    from brokertuner_tui.tui.app import TunerApp
    from brokertuner_tui.tui.lifecycle import quick_switches, run
    from brokertuner_tui.tui.link import SessionLike
    from brokertuner_tui.tui.options import Options

    loaded = load_settings(overrides={"broker.mosquitto": mosquitto, "tuning.total_timesteps": trials}, environ={})
    workload = get_workload(loaded, "fanout")
    late: list[tuple[float, float]] = []
    marks: dict[str, float] = {}

    class Watched(TunerApp):
        def _begin(self) -> None:
            self._watcher = watch_the_loop(late)
            marks["begin"] = time.perf_counter()
            super()._begin()

        def _tick(self) -> None:
            super()._tick()
            if "torch" in sys.modules:
                marks.setdefault("torch", time.perf_counter())
            if self.model.points:
                marks.setdefault("first trial", time.perf_counter())
            if len(self.model.points) >= trials or self.model.ended:
                marks.setdefault("end", time.perf_counter())
                self.stop(None, "enough")

    def make() -> SessionLike:
        with quick_switches():
            from brokertuner_tui.tuning.session import TuningSession

            return TuningSession(loaded.settings, workload, folder, keep_open=True)

    app = Watched(make, Options(theme_folders=(paths.themes_dir(),), log_file=folder / "tui.log"))
    run(app)
    end = marks.get("end", time.perf_counter())
    steps = [(at - marks["begin"], seconds) for at, seconds in late if at <= end]
    result.write_text(
        json.dumps(
            {
                "steps": steps,
                "trials": len(app.model.points),
                "error": str(app.link.error or app.crashed or ""),
                "marks": {name: at - marks["begin"] for name, at in marks.items()},
            }
        )
    )


def figures(seconds: list[float]) -> dict[str, float]:
    """Percentiles of lateness, in milliseconds."""
    ordered = sorted(seconds) or [0.0]

    def at(share: float) -> float:
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return {"p50_ms": at(0.5), "p99_ms": at(0.99), "p999_ms": at(0.999), "max_ms": 1000 * ordered[-1]}


def measure(trials: int, mosquitto: str | None) -> dict[str, Any]:
    """Runs the app and gives the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result = folder / "result.json"
        argv = [sys.executable, str(Path(__file__).resolve()), "--child", str(result), "--trials", str(trials)]
        argv += ["--mosquitto", mosquitto] if mosquitto else []
        with Terminal(argv, columns=150, rows=40, cwd=str(ROOT)) as terminal:
            if terminal.wait(LIMIT_S) is None or not result.exists():
                raise SystemExit(f"the app did not end well: {terminal.text()[-2000:]}")
        data = json.loads(result.read_text())
    if data["error"] or not data["trials"]:
        raise SystemExit(f"the session failed: {data['error']}")
    first = data["marks"].get("first trial", 0.0)
    steps = data["steps"]
    return {
        "trials": data["trials"],
        "seconds": data["marks"].get("end", 0.0),
        "steps": len(steps),
        **figures([late for _, late in steps]),
        "start": figures([late for at, late in steps if at < first]),
        "tuning": figures([late for at, late in steps if at >= first]),
        "worst": sorted(([round(at, 2), round(1000 * late, 1)] for at, late in steps), key=lambda row: -row[1])[:5],
        "marks_s": data["marks"],
        "load_average": os.getloadavg()[0],
        "targets": TARGETS,
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--mosquitto")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        child(arguments.child, arguments.child.parent, arguments.trials, arguments.mosquitto)
        return
    result = measure(arguments.trials, arguments.mosquitto)
    if arguments.json:
        print(json.dumps(result))
        return
    print(
        f"event loop, {result['trials']} trials in {result['seconds']:.0f} s, the import of torch included: longest stall "
        f"{result['max_ms']:.0f} ms (target <= {TARGETS['max_ms']:g}), p99 {result['p99_ms']:.1f} ms "
        f"(target <= {TARGETS['p99_ms']:g}), p50 {result['p50_ms']:.2f} ms"
    )
    for name, label in (("start", "until the first trial"), ("tuning", "after it")):
        part = result[name]
        print(f"  {label}: longest {part['max_ms']:.0f} ms, p99 {part['p99_ms']:.1f} ms")
    print(f"  load average of the machine {result['load_average']:.1f}")


if __name__ == "__main__":
    main()
