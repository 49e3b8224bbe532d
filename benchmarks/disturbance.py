"""Whether learning disturbs what is measured: `python benchmarks/disturbance.py [--json] [--mosquitto PATH] [--rounds N]`.

One setting is measured again and again, in three ways by turns: *quiet* (nobody learns), *between* (as a session: the learner
takes in each window and proposes the next setting while no window is open), and *beside* (the worst way: a thread of this
process learns without a pause while windows are open). For each load and way: on-time goodput and p99 with 95 % intervals, and
the ratio to quiet. Rounds are paired, and the order within a round rotates, so that a drift of the machine favours none.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from brokertuner_tui.agent.ddpg import DDPG
from brokertuner_tui.agent.presets import config_for
from brokertuner_tui.broker.find import find_mosquitto
from brokertuner_tui.config.load import load_settings
from brokertuner_tui.config.settings import AgentSettings, BrokerSettings, RewardSettings, Settings
from brokertuner_tui.config.workloads import get_workload
from brokertuner_tui.env.presets import make_preset
from brokertuner_tui.env.testbed import Testbed
from brokertuner_tui.knobs.catalogue import CATALOGUE, Value
from brokertuner_tui.tuning.learner import Learner
from brokertuner_tui.tuning.statistics import interval, ratio
from brokertuner_tui.workload.window import Window

LOADS: Mapping[str, dict[str, Value]] = {
    "pipeline": {"max_inflight_messages": 2000, "max_queued_messages": 100_000},
    "fanout": {"max_inflight_messages": 2000, "max_queued_messages": 100_000, "set_tcp_nodelay": True},
}
"""Settings that serve each load well: what is measured is the broker at its best."""
WAYS = ("quiet", "between", "beside")
_KNOWN = 40
"""Trials that the agent has seen before: as many as in a run."""


def main() -> None:
    """Measures each load and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--mosquitto", type=Path)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--loads", nargs="+", choices=LOADS, default=list(LOADS))
    arguments = parser.parse_args()
    program = arguments.mosquitto or find_mosquitto()
    loads = {name: _load(name, program, arguments.rounds) for name in arguments.loads}
    if arguments.json:
        print(json.dumps({"cores": os.cpu_count(), "rounds": arguments.rounds, "loads": loads}))
        return
    print(f"{os.cpu_count()} cores, {arguments.rounds} windows of 1 s each\n")
    for name, ways in loads.items():
        for way, figures in ways.items():
            print(f"{name:9} {way:8} {figures['text']}")


def _load(name: str, program: Path, rounds: int) -> dict[str, dict[str, object]]:
    loaded = load_settings(config_file=None, overrides={}, environ={}, cwd=Path("/"))
    settings = Settings(broker=BrokerSettings(mosquitto=program))
    seen: dict[str, list[Window]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        bed = Testbed(settings, get_workload(loaded, name), Path(folder))
        try:
            bed.open()
            bed.start_load()
            learner = _taught(bed, LOADS[name])
            for turn in range(rounds):
                for offset in range(len(WAYS)):
                    way = WAYS[(turn + offset) % len(WAYS)]
                    seen[way].append(_window(bed, learner, way, LOADS[name]))
        finally:
            bed.close()
    return {way: _figures(windows, seen["quiet"]) for way, windows in seen.items()}


def _taught(bed: Testbed, knobs: dict[str, Value]) -> Learner:
    """A learner that has seen a run's worth of trials, all made from one."""
    preset = make_preset("slo", RewardSettings())
    agent = DDPG(len(preset.observation_names), len(CATALOGUE), config_for("slo", AgentSettings()), seed=0)
    learner = Learner(agent, preset, bed.version, bed.defaults, {})
    outcome = bed.trial(bed.defaults | knobs)
    for number in range(1, _KNOWN + 1):
        learner.learn(number, learner.watch(bed.profile, bed.defaults), outcome)
    return learner


def _window(bed: Testbed, learner: Learner, way: str, knobs: dict[str, Value]) -> Window:
    setting = bed.defaults | knobs
    with _learning(learner) if way == "beside" else _nothing():
        outcome = bed.trial(setting)
    if outcome.window is None:
        raise SystemExit(f"a window could not be measured: {outcome.reason}")
    if way == "between":
        learner.learn(_KNOWN, learner.watch(bed.profile, setting), outcome)
        learner.choose(bed.profile)
    return outcome.window


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _learning(learner: Learner) -> Iterator[None]:
    """Learns in a thread until the end."""
    done = threading.Event()

    def learn() -> None:
        while not done.is_set():
            learner.agent.update()

    thread = threading.Thread(target=learn)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _figures(windows: list[Window], quiet: list[Window]) -> dict[str, object]:
    goodput = interval([window.on_time_per_s for window in windows])
    against = ratio([window.on_time_per_s for window in windows], [window.on_time_per_s for window in quiet])
    logs = interval([math.log(window.p99_ms) for window in windows])
    p99 = [math.exp(value) for value in (logs.mean, logs.low, logs.high)]
    cpu = statistics.fmean(window.generator_cpu for window in windows)
    return {
        "on_time_per_s": [goodput.mean, goodput.low, goodput.high],
        "ratio_to_quiet": [against.mean, against.low, against.high],
        "p99_ms": p99,
        "generator_cpu": cpu,
        "text": (
            f"{goodput.mean:9,.0f}/s ({goodput.low:,.0f} to {goodput.high:,.0f}), "
            f"{against.mean:.3f} ({against.low:.3f} to {against.high:.3f}) of quiet, "
            f"p99 {p99[0]:.2f} ms ({p99[1]:.2f} to {p99[2]:.2f}), generator {cpu:.2f} cores"
        ),
    }


if __name__ == "__main__":
    main()
