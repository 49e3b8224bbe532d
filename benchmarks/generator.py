"""How much the built-in load can ask of a broker: `python benchmarks/generator.py [--json] [--mosquitto PATH] [--transport T]`.

QoS 0 from 20 publishers to one subscriber, and QoS 1 over ten pairs, closed loops of 64 bytes: messages delivered a second,
median over the turns. With it, how busy generator and broker were (1 = a core): while the broker is at 1 and the generator
is not, the broker is the limit; and the generator's CPU time for each message delivered, which says how it would do on a
machine of its own. The targets are for plain TCP.
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
from brokertuner_tui.broker.ports import free_port
from brokertuner_tui.knobs.catalogue import defaults
from brokertuner_tui.mqtt.endpoint import Endpoint, Tls
from brokertuner_tui.workload.builtin import BuiltinLoad
from brokertuner_tui.workload.profile import Profile

FAN_IN = Profile("QoS 0, 20 -> 1", publishers=20, subscribers=1, topics=1, qos=0, window=1000)
PAIRS = Profile("QoS 1, 10 -> 10", publishers=10, subscribers=10, topics=10, qos=1, window=200)
TARGETS_PER_S = {FAN_IN.name: 220_000, PAIRS.name: 115_000}
SETTLE_S = 0.7


def listener(transport: str, folder: Path) -> tuple[str, Endpoint]:
    """Lines of mosquitto.conf for a listener of this kind, and how to reach it."""
    port = free_port("127.0.0.1")
    conf, tls = f"listener {port} 127.0.0.1\n", None
    if transport in ("tls", "wss"):
        from tests.broker.secure import Authority

        authority = Authority(folder)
        server = authority.issue("server", names=("127.0.0.1",))
        conf += f"certfile {server.cert_file}\nkeyfile {server.key_file}\n"
        tls = Tls(authority.ca_file)
    if transport in ("ws", "wss"):
        conf += "protocol websockets\n"
    return conf, Endpoint("127.0.0.1", port, transport="websockets" if transport in ("ws", "wss") else "tcp", tls=tls)


def measure(
    profile: Profile, load: BuiltinLoad, broker: ManagedBroker, endpoint: Endpoint, turns: int, seconds: float
) -> dict[str, float]:
    """One profile on a broker that runs."""
    load.start(profile, endpoint)
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
    parser.add_argument("--transport", choices=("tcp", "tls", "ws", "wss"), default="tcp")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each turn")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        endpoint, extra_conf = None, None
        if options.transport != "tcp":
            conf, endpoint = listener(options.transport, Path(folder))
            extra_conf = Path(folder) / "listener.conf"
            extra_conf.write_text(conf)
        broker = ManagedBroker(find_mosquitto(options.mosquitto), Path(folder) / "broker", extra_conf=extra_conf)
        load = BuiltinLoad(Path(folder) / "load")
        try:
            broker.start(defaults(broker.version))
            cases = {
                profile.name: measure(profile, load, broker, endpoint or broker.endpoint, options.turns, options.seconds)
                for profile in (FAN_IN, PAIRS)
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
