"""What an agent adds to a change: `python benchmarks/remote_apply.py [--json] [--mosquitto PATH] [--turns N]`.

The same change is made on a local managed broker and, through an agent on loopback, on another, in turns; by reload and by
restart. The figure is the median of the paired differences, in milliseconds. The agent takes one change a second.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.apply import RELOADS, RESTARTS
from brokertuner_tui.broker.find import find_mosquitto
from brokertuner_tui.broker.interface import Broker
from brokertuner_tui.broker.kinds import make_broker
from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.config.settings import BrokerSettings
from brokertuner_tui.knobs.catalogue import KnobValues, Value
from tests.agents import Agent

TARGET_MS = 30.0
_PACE_S = 1.05


def timed_ms(broker: Broker, knobs: KnobValues) -> tuple[float, str]:
    """How long a change takes for whoever asks, and how it was made."""
    began = time.perf_counter()
    applied = broker.apply(knobs)
    return 1000 * (time.perf_counter() - began), applied.how


def compare(
    local: Broker, remote: Broker, changes: tuple[dict[str, Value], ...], turns: int, how: str
) -> dict[str, float | list[float]]:
    """Both in turns; the first change of all only leads to where the others begin."""
    here: list[float] = []
    there: list[float] = []
    usual = local.baseline
    for turn in range(turns + 1):
        time.sleep(_PACE_S)
        knobs = {**usual, **changes[turn % len(changes)]}
        order = (remote, local) if turn % 2 else (local, remote)
        took = {broker: timed_ms(broker, knobs) for broker in order}
        if turn == 0:
            continue
        assert took[local][1] == took[remote][1] == how, took
        here.append(took[local][0])
        there.append(took[remote][0])
    beyond = [far - near for near, far in zip(here, there, strict=True)]
    return {"local_p50_ms": median(here), "remote_p50_ms": median(there), "beyond_p50_ms": median(beyond), "beyond_ms": beyond}


def measure(mosquitto: Path, turns: int) -> dict[str, object]:
    """Both kinds of change."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        agent = Agent(folder / "agent", mosquitto).start()
        settings = BrokerSettings(kind="remote", url=agent.url, token_file=agent.token_file)
        local, remote = ManagedBroker(mosquitto, folder / "local"), make_broker(settings, folder)
        try:
            local.start(local.baseline)
            remote.start(local.baseline)
            return {
                "mosquitto": ".".join(map(str, local.version)),
                "turns": turns,
                "reload": compare(local, remote, RELOADS, turns, "reload"),
                "restart": compare(local, remote, RESTARTS, turns, "restart"),
                "target_beyond_p50_ms": TARGET_MS,
            }
        finally:
            remote.stop()
            local.stop()
            agent.stop()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--mosquitto", type=Path)
    parser.add_argument("--turns", type=int, default=30, help="changes of each kind (at least 2)")
    arguments = parser.parse_args()
    result = measure(find_mosquitto(arguments.mosquitto), max(2, arguments.turns))
    if arguments.json:
        print(json.dumps(result))
        return
    print(
        f"Mosquitto {result['mosquitto']}, {result['turns']} changes of each kind, through an agent on loopback, milliseconds"
    )
    for kind in ("reload", "restart"):
        row = result[kind]
        assert isinstance(row, dict)
        figures = "  ".join(
            f"{key.removesuffix('_ms')} {row[key]:.1f}" for key in ("local_p50_ms", "remote_p50_ms", "beyond_p50_ms")
        )
        print(f"{kind:8} {figures}   target {TARGET_MS:g}")


if __name__ == "__main__":
    main()
