"""How much longer a verified change of a unit takes than the unit's own restart: `python benchmarks/systemd_apply.py [--json]`.

Boots the box (`scripts/systemd-box make .systemd-box` makes it), and in there, in turns, runs `systemctl restart` and applies a
knob that needs a restart: file written durably, restarted, verified. Medians in milliseconds; the target is 150 beyond.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from brokertuner_tui.broker.external import ExternalBroker
from brokertuner_tui.broker.systemd import SystemdService
from brokertuner_tui.mqtt.endpoint import Endpoint

CHECKOUT = Path(__file__).resolve().parents[1]
UNIT = "mosquitto.service"
TARGET_MS = 150.0
INSIDE = "BROKERTUNER_TEST_IN_BOX"


def measure(turns: int) -> dict[str, float]:
    """Both, in turns; inside the box, whose unit is changed for it."""
    drop_in = Path(f"/run/systemd/system/{UNIT}.d/benchmark.conf")
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    drop_in.write_text("[Unit]\nStartLimitBurst=0\n")  # nobody shall wait for the limit here
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    own: list[float] = []
    applied: list[float] = []
    parts: dict[str, list[float]] = {"write": [], "stop": [], "start": [], "verify": []}
    with tempfile.TemporaryDirectory() as folder:
        broker = ExternalBroker(
            SystemdService(UNIT), Path(folder), lambda host, port: Endpoint(host or "127.0.0.1", port or 1883)
        )
        broker.start(broker.baseline)
        for turn in range(turns):
            began = time.perf_counter()
            subprocess.run(["systemctl", "restart", UNIT], check=True)
            own.append(1000 * (time.perf_counter() - began))
            broker.revive()
            began = time.perf_counter()
            change = broker.apply(broker.baseline | {"max_inflight_messages": 30 + turn % 2})
            applied.append(1000 * (time.perf_counter() - began))
            for name, values in parts.items():
                values.append(1000 * getattr(change, f"{name}_s"))
        broker.stop()
        broker.restore()
    result = {"systemctl_restart_ms": median(own), "apply_ms": median(applied), "beyond_ms": median(applied) - median(own)}
    return result | {f"{name}_ms": median(values) for name, values in parts.items()}


def in_the_box(turns: int) -> dict[str, float]:
    """Boots the box and runs this program in it.

    Raises:
        subprocess.CalledProcessError: there is no box, or it fails in there.
    """
    script, box = CHECKOUT / "scripts" / "systemd-box", CHECKOUT / ".systemd-box"
    paths = [path for path in dict.fromkeys((str(CHECKOUT), sys.prefix, sys.base_prefix)) if path != "/usr"]
    subprocess.run([script, "boot", box, *paths], check=True)
    try:
        inside = ["env", f"{INSIDE}=1", "PYTHONDONTWRITEBYTECODE=1", sys.executable, str(Path(__file__).resolve())]
        told = subprocess.run(
            [script, "run", box, *inside, "--json", "--turns", str(turns)], check=True, stdout=subprocess.PIPE, text=True
        )
    finally:
        subprocess.run([script, "halt", box], check=False)
    result: dict[str, float] = json.loads(told.stdout)
    return result


def main() -> int:
    """Prints the figures; 1 if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = measure(arguments.turns) if os.environ.get(INSIDE) else in_the_box(arguments.turns)
    if arguments.json:
        print(json.dumps(result))
        return 0
    print(f"systemctl restart {result['systemctl_restart_ms']:6.1f} ms")
    parts = ", ".join(f"{name} {result[f'{name}_ms']:.1f}" for name in ("write", "stop", "start", "verify"))
    print(f"apply, verified   {result['apply_ms']:6.1f} ms ({parts})")
    print(f"beyond            {result['beyond_ms']:6.1f} ms (target: at most {TARGET_MS:g})")
    return 0 if result["beyond_ms"] <= TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())
