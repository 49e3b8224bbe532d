"""How a lost agent is noticed, tried and found again: `python benchmarks/reconnect.py [--seconds 1 30 600] [--mode cut]`.

Also `--mode half-open`, `agent-restart`, `agent-killed` (default: all), `--policy NAME`, `--mosquitto PATH`, `--json`. A real
agent with a real Mosquitto, behind a proxy that fails for as long as asked; 10 minutes take 10 minutes. Told are the seconds
until it was noticed, attempts (counted at the proxy, their shortest distance against the policy's), and the seconds from the
moment that the agent can be reached again until the connection stands, against the longest interval of that moment.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from brokertuner_tui.broker.find import find_mosquitto
from brokertuner_tui.broker.kinds import make_broker
from brokertuner_tui.broker.remote.broker import RemoteBroker
from brokertuner_tui.config.settings import BrokerSettings
from brokertuner_tui.connection.policy import POLICIES
from tests.agents import Agent
from tests.connection.proxy import FaultyProxy

MODES = ("cut", "half-open", "agent-restart", "agent-killed")


def outage(broker: RemoteBroker, agent: Agent, proxy: FaultyProxy, mode: str, seconds: float) -> dict[str, Any]:
    """One, from its beginning to the connection after it."""
    policy = broker.link.tracker.policy
    broker_starts = agent.broker_starts
    began = time.monotonic()
    {"cut": proxy.cut, "half-open": proxy.swallow, "agent-restart": agent.stop, "agent-killed": agent.kill}[mode]()
    while broker.connection.state.usable:
        time.sleep(0.001)
    noticed_s = time.monotonic() - began
    time.sleep(max(0.0, seconds - (time.monotonic() - began)))
    if mode.startswith("agent"):
        agent.start()
    failures = broker.connection.attempts
    back_at = time.monotonic()
    proxy.heal()
    while not broker.connection.state.usable:
        assert time.monotonic() - back_at < 200, broker.connection
        time.sleep(0.001)
    back_s = time.monotonic() - back_at
    begun = [at for at in proxy.connections if began < at <= back_at]
    gaps = [later - earlier for earlier, later in itertools.pairwise(begun)]
    slower = [gap - policy.shortest_s(number) for number, gap in enumerate(gaps, start=1)]
    return {
        "mode": mode,
        "seconds": seconds,
        "noticed_s": noticed_s,
        "attempts": len(begun),
        "least_gap_beyond_policy_s": min(slower, default=None),
        "never_above_its_rate": min(slower, default=0.0) >= -0.01,
        "back_s": back_s,
        "interval_s": policy.interval_s(failures),
        "within_one_interval": back_s <= policy.interval_s(failures) + policy.connect_timeout_s * (mode == "half-open") + 0.1,
        "broker_starts": agent.broker_starts - broker_starts,
    }


def measure(mosquitto: Path, policy: str, modes: list[str], lengths: list[float]) -> list[dict[str, Any]]:
    """Every mode at every length, on one agent."""
    with tempfile.TemporaryDirectory() as name:
        agent = Agent(Path(name) / "agent", mosquitto).start()
        proxy = FaultyProxy(agent.port)
        settings = BrokerSettings.model_validate(
            {"kind": "remote", "url": proxy.url, "token_file": agent.token_file, "connection": policy}
        )
        broker = make_broker(settings, Path(name))
        assert isinstance(broker, RemoteBroker)
        try:
            broker.start(broker.baseline)
            results = []
            for mode, seconds in itertools.product(modes, lengths):
                time.sleep(2.0)  # a connection that has just been made is not made anew at once
                results.append(outage(broker, agent, proxy, mode, seconds))
            return results
        finally:
            broker.stop()
            proxy.close()
            agent.stop()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--mosquitto", type=Path)
    parser.add_argument("--policy", choices=sorted(POLICIES), default="default")
    parser.add_argument("--mode", choices=MODES, action="append", help="may be given again; default: all")
    parser.add_argument("--seconds", type=float, nargs="+", default=[1.0, 30.0, 600.0])
    arguments = parser.parse_args()
    results = measure(find_mosquitto(arguments.mosquitto), arguments.policy, arguments.mode or list(MODES), arguments.seconds)
    if arguments.json:
        print(json.dumps(results))
        return
    print(f"policy {arguments.policy}")
    for row in results:
        gap = row["least_gap_beyond_policy_s"]
        print(
            f"{row['mode']:14} {row['seconds']:5g} s: noticed in {row['noticed_s']:.2f} s; {row['attempts']} attempts"
            + (f", at least {gap:+.2f} s beyond the policy's distance" if gap is not None else "")
            + f"; back after {row['back_s']:.2f} s (interval {row['interval_s']:.2f} s)"
            + f"; {'ok' if row['within_one_interval'] and row['never_above_its_rate'] else 'NOT WITHIN THE POLICY'}"
        )


if __name__ == "__main__":
    main()
