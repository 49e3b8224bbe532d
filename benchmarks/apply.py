"""How long a change of the broker takes until it is verified: `python benchmarks/apply.py [--json] [--mosquitto PATH]`.

By restart and by reload, without a load and under one of 20 clients (ten QoS 1 pairs at 2,000 messages a second); with the
load, a restart counts until every client is connected and subscribed again. Medians in milliseconds, and the parts. Values that
the broker had before need no pre-test; `new_reload` and `new_restart` have a new one each time, which does. `write` holds the
intent's file, too.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from brokertuner_tui.broker.find import find_mosquitto
from brokertuner_tui.broker.interface import Applied
from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.knobs.catalogue import KnobValues, Value, defaults
from brokertuner_tui.workload.builtin import BuiltinLoad
from brokertuner_tui.workload.profile import Profile

LOAD = Profile("pairs", publishers=10, subscribers=10, topics=10, qos=1, rate=2000.0)
RELOADS: tuple[dict[str, Value], ...] = ({"autosave_interval": 60}, {"autosave_interval": 1800})
RESTARTS: tuple[dict[str, Value], ...] = ({"max_inflight_messages": 500}, {"max_inflight_messages": 20})
Changes = Callable[[int], dict[str, Value]]
TARGETS_MS = {"restart_with_load": 60.0, "reload": 10.0, "new_reload": 10.0, "new_restart": 60.0, "reload_with_load": 10.0}


def repeat(
    turns: int, change: Callable[[KnobValues], tuple[float, Applied]], changes: Changes, usual: KnobValues
) -> dict[str, float]:
    """Applies `changes` of each turn; the whole time and its parts, in milliseconds."""
    whole: list[float] = []
    parts: dict[str, list[float]] = {"write": [], "pretest": [], "stop": [], "start": [], "verify": []}
    for turn in range(turns):
        seconds, applied = change({**usual, **changes(turn)})
        whole.append(1000 * seconds)
        for name, values in parts.items():
            values.append(1000 * getattr(applied, f"{name}_s"))
        time.sleep(0.05)  # let the load's traffic flow in between, as between trials
    result = {"p50_ms": median(whole), "p95_ms": quantiles(whole, n=20)[-1], "max_ms": max(whole)}
    return result | {f"{name}_p50_ms": median(values) for name, values in parts.items()}


def _of(values: tuple[dict[str, Value], ...]) -> Changes:
    return lambda turn: values[turn % len(values)]


def measure(mosquitto: Path, turns: int) -> dict[str, object]:
    """All of them, on one broker."""
    with tempfile.TemporaryDirectory() as folder:
        broker = ManagedBroker(mosquitto, Path(folder) / "broker")
        load = BuiltinLoad(Path(folder) / "load")
        usual = defaults(broker.version)

        def alone(knobs: KnobValues) -> tuple[float, Applied]:
            began = time.perf_counter()
            applied = broker.apply(knobs)
            return time.perf_counter() - began, applied

        def loaded(knobs: KnobValues) -> tuple[float, Applied]:
            began = time.perf_counter()
            load.expect_restart()
            applied = broker.apply(knobs)
            load.wait_ready(10.0)
            return time.perf_counter() - began, applied

        try:
            broker.start(usual)
            result: dict[str, object] = {
                "mosquitto": ".".join(map(str, broker.version)),
                "turns": turns,
                "restart": repeat(turns, alone, _of(RESTARTS), usual),
                "reload": repeat(turns, alone, _of(RELOADS), usual),
                "new_restart": repeat(turns, alone, lambda turn: {"max_inflight_messages": 600 + turn}, usual),
                "new_reload": repeat(turns, alone, lambda turn: {"autosave_interval": 2000 + turn}, usual),
            }
            broker.apply(usual)
            load.start(LOAD, broker.endpoint)
            load.wait_ready(10.0)
            result["restart_with_load"] = repeat(turns, loaded, _of(RESTARTS), usual)
            broker.apply(usual)
            load.wait_ready(10.0)
            result["reload_with_load"] = repeat(turns, alone, _of(RELOADS), usual)
        finally:
            load.stop()
            broker.stop()
    return result


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--mosquitto", type=Path)
    parser.add_argument("--turns", type=int, default=60, help="changes of each kind (at least 2)")
    arguments = parser.parse_args()
    result = measure(find_mosquitto(arguments.mosquitto), max(2, arguments.turns))
    result["targets_p50_ms"] = TARGETS_MS
    if arguments.json:
        print(json.dumps(result))
        return
    print(f"Mosquitto {result['mosquitto']}, {result['turns']} changes of each kind, milliseconds")
    for name in ("restart", "reload", "new_restart", "new_reload", "restart_with_load", "reload_with_load"):
        row = result[name]
        assert isinstance(row, dict)
        target = f"   target p50 {TARGETS_MS[name]:g}" if name in TARGETS_MS else ""
        print(f"{name:18} " + "  ".join(f"{key.removesuffix('_ms')} {value:.1f}" for key, value in row.items()) + target)


if __name__ == "__main__":
    main()
