"""The built-in load against one made with paho-mqtt: `python benchmarks/generator_vs_paho.py [--json] [--mosquitto PATH]`.

Messages delivered for each CPU second of the client's process, in the shapes of `generator.py`, in turns on one broker.
Not for each second of the clock: on few cores the broker takes its share of those.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.generator import FAN_IN, PAIRS, SETTLE_S
from brokertuner_tui.broker.find import find_mosquitto
from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.knobs.catalogue import defaults
from brokertuner_tui.workload.builtin import BuiltinLoad
from brokertuner_tui.workload.profile import Profile

TARGET = 10.0


def built_in(profile: Profile, broker: ManagedBroker, folder: Path, seconds: float) -> dict[str, float]:
    """One turn of ours."""
    load = BuiltinLoad(folder)
    try:
        load.start(profile, broker.endpoint)
        load.wait_ready(10.0)
        time.sleep(SETTLE_S)
        load.open_window()
        time.sleep(seconds)
        window = load.close_window()
    finally:
        load.stop()
    return {"per_s": window.received_per_s, "per_cpu_s": window.received_per_s / window.generator_cpu}


def paho(profile: Profile, broker: ManagedBroker, seconds: float) -> dict[str, float]:
    """One turn of paho's."""
    keys = ("publishers", "subscribers", "topics", "qos", "payload_bytes", "window")
    shape = {key: getattr(profile, key) for key in keys}
    shape |= {"host": broker.host, "port": broker.port, "settle_s": SETTLE_S, "seconds": seconds}
    command = [sys.executable, str(Path(__file__).with_name("paho_load.py")), json.dumps(shape)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60 + seconds, check=True)
    result = json.loads(ended.stdout.splitlines()[-1])
    return {"per_s": result["received"] / result["seconds"], "per_cpu_s": result["received"] / result["cpu_s"]}


def main() -> int:
    """Prints the figures; exit code 1 when the target was missed."""
    parser = argparse.ArgumentParser(description="Messages for each CPU second: the built-in load and paho-mqtt.")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--mosquitto", type=Path)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn")
    options = parser.parse_args()
    cases: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        broker = ManagedBroker(find_mosquitto(options.mosquitto), Path(folder) / "broker")
        try:
            broker.start(defaults(broker.version))
            for profile in (FAN_IN, PAIRS):
                ours, theirs = [], []
                for _ in range(options.turns):
                    ours.append(built_in(profile, broker, Path(folder) / "load", options.seconds))
                    theirs.append(paho(profile, broker, options.seconds))
                case = {f"built_in_{key}": median(turn[key] for turn in ours) for key in ours[0]}
                case |= {f"paho_{key}": median(turn[key] for turn in theirs) for key in theirs[0]}
                cases[profile.name] = case | {"ratio": case["built_in_per_cpu_s"] / case["paho_per_cpu_s"]}
        finally:
            broker.stop()
    met = all(case["ratio"] >= TARGET for case in cases.values())
    if options.json:
        print(json.dumps({"target": TARGET, "met": met} | cases))
        return 0 if met else 1
    for name, case in cases.items():
        print(
            f"{name:16} built-in {case['built_in_per_cpu_s']:9,.0f} per CPU second ({case['built_in_per_s']:,.0f}/s), "
            f"paho-mqtt {case['paho_per_cpu_s']:7,.0f} ({case['paho_per_s']:,.0f}/s): {case['ratio']:.0f} x (target {TARGET:g})"
        )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
