"""How much the built-in load can ask of a broker: `python benchmarks/generator.py [--json] [--mosquitto PATH]`.

QoS 0 from 20 publishers to one subscriber, and QoS 1 over ten pairs, closed loops of 64 bytes: messages delivered a second,
median over the turns. With it, how busy generator and broker were (1 = a core): while the broker is at 1 and the generator
is not, the broker is the limit; and the generator's CPU time for each message delivered, which says how it would do on a
machine of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from brokertuner_tui.broker.find import find_mosquitto
from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.knobs.catalogue import defaults
from brokertuner_tui.workload.builtin import BuiltinLoad
from brokertuner_tui.workload.profile import Profile

FAN_IN = Profile("QoS 0, 20 -> 1", publishers=20, subscribers=1, topics=1, qos=0, window=1000)
PAIRS = Profile("QoS 1, 10 -> 10", publishers=10, subscribers=10, topics=10, qos=1, window=200)
TARGETS_PER_S = {FAN_IN.name: 220_000, PAIRS.name: 115_000}
SETTLE_S = 0.7


def measure(profile: Profile, load: BuiltinLoad, broker: ManagedBroker, turns: int, seconds: float) -> dict[str, float]:
    """One profile on a broker that runs."""
    load.start(profile, broker.endpoint)
    load.wait_ready(10.0)
    time.sleep(SETTLE_S)
    pid = broker.status().pid
    assert pid is not None
    process = psutil.Process(pid)
    windows, broker_cpu = [], []
    for _ in range(turns):
        before = process.cpu_times()
        load.open_window()
        time.sleep(seconds)
        window = load.close_window()
        after = process.cpu_times()
        windows.append(window)
        broker_cpu.append((after.user + after.system - before.user - before.system) / window.seconds)
    load.stop()
    return {
        "delivered_per_s": median(window.received_per_s for window in windows),
        "most_per_s": max(window.received_per_s for window in windows),
        "lost": sum(window.lost for window in windows),
        "generator_cpu": median(window.generator_cpu for window in windows),
        "broker_cpu": median(broker_cpu),
        "cpu_us_per_message": median(1e6 * window.generator_cpu / max(1.0, window.received_per_s) for window in windows),
        "target_per_s": TARGETS_PER_S[profile.name],
    }


def main() -> int:
    """Prints the figures; exit code 1 when a target was missed."""
    parser = argparse.ArgumentParser(description="What the built-in load delivers on this machine.")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--mosquitto", type=Path)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each turn")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        broker = ManagedBroker(find_mosquitto(options.mosquitto), Path(folder) / "broker")
        load = BuiltinLoad(Path(folder) / "load")
        try:
            broker.start(defaults(broker.version))
            cases = {
                profile.name: measure(profile, load, broker, options.turns, options.seconds) for profile in (FAN_IN, PAIRS)
            }
            version = ".".join(map(str, broker.version))
        finally:
            load.stop()
            broker.stop()
    met = all(case["delivered_per_s"] >= case["target_per_s"] for case in cases.values())
    if options.json:
        print(json.dumps({"mosquitto": version, "cores": os.cpu_count(), "loadavg": os.getloadavg()[0], "met": met} | cases))
        return 0 if met else 1
    print(f"Mosquitto {version}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    for name, case in cases.items():
        print(
            f"{name:16} {case['delivered_per_s']:9,.0f}/s delivered (target {case['target_per_s']:,}), "
            f"lost {case['lost']:.0f}; CPU: generator {case['generator_cpu']:.2f}, broker {case['broker_cpu']:.2f}; "
            f"{case['cpu_us_per_message']:.1f} us of the generator for each message"
        )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
