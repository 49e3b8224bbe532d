"""How long a broker is away that is killed under load while it is tuned: `python benchmarks/revive.py [--kills 40] [--json]`.

A tuning session with its load (ten QoS 1 pairs at 2,000 messages a second); the broker gets kill -9 at a random moment of a
trial, again and again, and is back when the session has it verified: process, port, CONNACK, round trip, the knobs. With
several `--mosquitto PATH` the versions take turns. With `--hang`, SIGSTOP instead: seen by silence, then restarted. Median, p99
and the longest, in milliseconds; the target is 2 s at p99 after kill -9.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from brokertuner_tui.broker.find import find_mosquitto, probe_version
from brokertuner_tui.config.settings import BrokerSettings, Settings, TuningSettings
from brokertuner_tui.tuning.commands import Stop
from brokertuner_tui.tuning.events import Event, RunFinished, TrialFinished
from brokertuner_tui.tuning.session import TuningSession
from brokertuner_tui.tuning.stream import Subscription
from brokertuner_tui.workload.profile import Profile, Workload

LOAD = Workload.steady(Profile("pairs", publishers=10, subscribers=10, topics=10, qos=1, rate=2000.0))
TARGET_MS = 2000.0
_TURN = 10
"""Kills until the next version's turn."""
_BETWEEN_S = 1.5
_WAIT_S = 60.0


def wait_for(events: Subscription, *kinds: type[Event]) -> Event:
    """The next event of one of these kinds.

    Raises:
        RuntimeError: none came, or the run ended.
    """
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        event = events.get(0.2)
        if isinstance(event, kinds):
            return event
        if isinstance(event, RunFinished):
            raise RuntimeError(f"the run ended: {event.reason}")
    raise RuntimeError(f"nothing came within {_WAIT_S:g} s")


def back_at(session: TuningSession, pid: int) -> float:
    """When another process than `pid` was verified, which may have been that of a restart that was under way.

    Raises:
        RuntimeError: there was none in time.
    """
    assert session.testbed is not None
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        status = session.testbed.broker.status()
        if status.state == "listening" and status.pid not in (None, pid) and status.knobs is not None:
            return time.time()
        time.sleep(0.001)
    raise RuntimeError(f"the broker is not back within {_WAIT_S:g} s")


def turn(mosquitto: Path, kills: int, number: int, chance: random.Random) -> list[float]:
    """Milliseconds from each kill to the verified broker; one session."""
    settings = Settings(
        broker=BrokerSettings(mosquitto=mosquitto),
        tuning=TuningSettings(total_timesteps=100_000, step_interval_sec=1.0, mode="autonomous"),
    )
    took: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        session = TuningSession(settings, LOAD, Path(folder))
        events = session.events.subscribe()
        session.start()
        try:
            wait_for(events, TrialFinished)
            for _ in range(kills):
                time.sleep(_BETWEEN_S + chance.random() * 2)
                events.drain()
                pid = session.testbed.broker.status().pid if session.testbed is not None else None
                if pid is None:  # in the middle of a restart for a trial
                    continue
                began = time.time()
                os.kill(pid, number)
                took.append(1000 * (back_at(session, pid) - began))
        finally:
            session.send(Stop(leave="current"))
            session.join(_WAIT_S)
    return took


def figures(took: list[float]) -> dict[str, float]:
    """Median, p99 and the longest."""
    p99 = quantiles(took, n=100, method="inclusive")[-1] if len(took) > 1 else took[0]
    return {"kills": len(took), "p50_ms": median(took), "p99_ms": p99, "max_ms": max(took)}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mosquitto", type=Path, action="append", help="may be given several times")
    parser.add_argument("--kills", type=int, default=40, help="of each version")
    parser.add_argument("--hang", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    programs = [find_mosquitto(path) for path in options.mosquitto or [None]]
    number = signal.SIGSTOP if options.hang else signal.SIGKILL
    chance = random.Random(options.seed)
    took: dict[Path, list[float]] = {program: [] for program in programs}
    while any(len(times) < options.kills for times in took.values()):
        for program, times in took.items():
            if len(times) < options.kills:
                times += turn(program, min(_TURN, options.kills - len(times)), number, chance)
    result = {".".join(map(str, probe_version(program))): figures(times) for program, times in took.items()}
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, found in result.items():
        print(f"{name:>12}  {found['kills']} kills  p50 {found['p50_ms']:6.0f} ms  p99 {found['p99_ms']:6.0f} ms  "
              f"longest {found['max_ms']:6.0f} ms")  # fmt: skip
    if not options.hang:
        print(f"target: p99 at most {TARGET_MS:.0f} ms")


if __name__ == "__main__":
    main()
