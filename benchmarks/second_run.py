"""How soon a second run of a load is good, when the store has seen the load under another name.

    python -m benchmarks.second_run --mosquitto PATH [--workloads telemetry,pipeline,wan,fanout] [--trials 40] [--seconds 1]

Both runs are the product's own session, with one store. The best known is the better of what both runs confirmed (the default,
where nothing was better). Printed are, for both, the trials until one reached 95 % of it, the default's included, and how many
windows were cut short and lengthened.
Target: 3 or less in the second run.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from brokertuner_tui.cli.measuring import facts
from brokertuner_tui.config.settings import BrokerSettings, Settings, TuningSettings
from brokertuner_tui.config.workloads import resolve, shipped_tables
from brokertuner_tui.store.store import Store
from brokertuner_tui.tuning.events import Confirmed, Notice, RunFinished, TrialFinished
from brokertuner_tui.tuning.session import TuningSession
from brokertuner_tui.workload.profile import Workload

_ENOUGH = 0.95
_PATIENCE_S = 60.0
"""Between two events of a session."""


@dataclass(frozen=True)
class Run:
    """What came of one."""

    on_time_per_s: list[float]
    """Of each trial; 0 where it was not `ok`."""
    confirmed_per_s: float
    windows: str
    """How long they were, and how many were cut short or lengthened."""
    said: str

    def trials_to(self, target: float) -> int | None:
        """The number of the first trial that reached it."""
        return next((number for number, rate in enumerate(self.on_time_per_s, start=1) if rate >= target), None)


def tune(settings: Settings, workload: Workload, folder: Path) -> Run:
    """One run of the product's session."""
    session = TuningSession(settings, workload, folder)
    events = session.events.subscribe()
    session.start()
    rates: list[float] = []
    confirmed, said = 0.0, ""
    while not isinstance(event := events.get(_PATIENCE_S), RunFinished):
        if event is None:
            raise SystemExit(f"nothing was heard of the run for {_PATIENCE_S:g} s")
        if isinstance(event, TrialFinished):
            window = event.outcome.window
            rates.append(window.on_time_per_s if window is not None and event.reward is not None else 0.0)
        elif isinstance(event, Confirmed):
            confirmed = max(event.default.on_time_per_s, event.best.on_time_per_s)
        elif isinstance(event, Notice) and event.message.startswith("knows"):
            said = event.message
    session.join(_PATIENCE_S)
    if session.error is not None:
        raise SystemExit(str(session.error))
    with Store.open(folder / "store.db", read_only=True) as store:
        windows = facts(store.trials(store.run("last").id)).get("windows", "none")
    return Run(rates, confirmed, windows, said)


def compare(mosquitto: Path | None, name: str, trials: Sequence[int], seconds: float, seed: int) -> str:
    """A line on the load `name`: trials to 95 % of the best known in the first run, and in the second under another name."""
    workload = resolve(shipped_tables())[name]
    if len(workload.phases) > 1:
        raise SystemExit(f"{name} has phases: a steady load is wanted")
    with tempfile.TemporaryDirectory() as folder:
        runs = []
        for count, called, own_seed in zip(trials, (name, f"{name} again"), (seed, seed + 1), strict=True):
            settings = Settings(
                broker=BrokerSettings(mosquitto=mosquitto),
                tuning=TuningSettings(total_timesteps=count, step_interval_sec=seconds, confirm_windows=4, ablation_windows=0),
                seed=own_seed,
            )
            profile = replace(workload.phases[0].profile, name=called)
            runs.append(tune(settings, Workload.steady(profile), Path(folder)))
    best = max(run.confirmed_per_s for run in runs) or max(max(run.on_time_per_s) for run in runs)
    reached = [str(run.trials_to(_ENOUGH * best) or "never") for run in runs]
    while_tuning = [sum(run.on_time_per_s) / len(run.on_time_per_s) / best for run in runs]
    return (
        f"{name:<12} best known {best:>10,.0f}/s; trials to 95 %: first run {reached[0]:>5}, second {reached[1]:>5}; "
        f"while tuning {while_tuning[0]:.2f}, {while_tuning[1]:.2f}; windows {runs[0].windows}; {runs[1].windows} "
        f"({runs[1].said or 'nothing was known'})"
    )


def main() -> None:
    """Runs each load twice and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mosquitto", type=Path)
    parser.add_argument("--workloads", default="telemetry,pipeline,wan,fanout")
    parser.add_argument("--trials", type=int, default=40, help="of the first run")
    parser.add_argument("--second", type=int, default=10, help="trials of the second run")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a window")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for name in given.workloads.split(","):
        print(compare(given.mosquitto, name, (given.trials, given.second), given.seconds, given.seed), flush=True)


if __name__ == "__main__":
    main()
