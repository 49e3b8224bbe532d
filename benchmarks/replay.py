"""How like the original a replayed recording is: rate, sizes, QoS mix and fan-out, for the mix that the issue names and for one
that changes; at 1x, and at a higher speed.

    python -m benchmarks.replay --mosquitto PATH [--seconds 30] [--speed 4]
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path

from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.workload.builtin import BuiltinLoad
from brokertuner_tui.workload.likeness import Likeness, compare, of_shape
from brokertuner_tui.workload.play import playback
from brokertuner_tui.workload.profile import Phase, Profile, Workload
from brokertuner_tui.workload.record import Recorder
from brokertuner_tui.workload.shape import Shape

SLOW = Profile.mix(
    "sensors and pictures",
    [
        Profile("sensors", publishers=20, subscribers=5, topics=5, qos=0, payload_bytes=60, rate=1500, slo_ms=50),
        Profile("orders", publishers=4, subscribers=4, topics=4, qos=1, payload_bytes=900, rate=400, slo_ms=50),
        Profile("pictures", publishers=2, subscribers=6, topics=2, qos=2, payload_bytes=40_000, rate=30, window=20, slo_ms=200),
        Profile("alarms", publishers=1, subscribers=30, topics=1, qos=1, payload_bytes=150, rate=20, slo_ms=50),
    ],
)
FAST = Profile.mix("twice the sensors", [Profile.from_dict(part.as_dict() | {"rate": part.rate * 2}) for part in SLOW.parts])
WORKLOADS = (
    Workload.steady(SLOW),
    Workload("changing", (Phase(SLOW, 7.0), Phase(FAST, 4.0))),
)


def main() -> None:
    """Prints one table a workload and speed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mosquitto", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--speed", type=float, default=4.0)
    options = parser.parse_args()
    for workload in WORKLOADS:
        original = _record(options.mosquitto, workload, options.seconds)
        for speed in (1.0, options.speed):
            played = playback(original, speed=speed, for_tuning=False)
            copy = _record(options.mosquitto, played.workload, max(6.0, options.seconds / speed))
            print(f"\n{workload.name}, {options.seconds:g} s, played at {speed:g}x")
            for row in compare(of_shape(original, speed), of_shape(copy)):
                print(_line(row))


def _record(mosquitto: Path, workload: Workload, seconds: float) -> Shape:
    """The shape of `workload` on a fresh broker."""
    with tempfile.TemporaryDirectory() as folder:
        broker, load = ManagedBroker(mosquitto, Path(folder) / "broker"), BuiltinLoad(Path(folder) / "load")
        over = threading.Event()
        try:
            broker.start(broker.baseline)
            load.start(workload.at(0.0), broker.endpoint)
            load.wait_ready(20.0)
            follower = threading.Thread(target=_follow, args=(load, workload, over))
            follower.start()
            shape = _recorded(broker.endpoint, seconds)
            over.set()
            follower.join()
            return shape
        finally:
            over.set()
            load.stop()
            broker.stop()


def _recorded(endpoint: Endpoint, seconds: float) -> Shape:
    recorder = Recorder(endpoint)
    recorder.connect()
    recorder.run(seconds)
    recorder.close()
    return recorder.shape()


def _follow(load: BuiltinLoad, workload: Workload, over: threading.Event) -> None:
    began, now = time.monotonic(), workload.at(0.0)
    while not over.wait(0.02):
        due = workload.at(time.monotonic() - began)
        if due != now:
            load.change(due)
            now = due


def _line(row: Likeness) -> str:
    verdict = "" if row.alike else "   beyond 5 %"
    return f"  {row.figure:<20} {row.one:>14,.4g} {row.other:>14,.4g} {100 * row.difference:>+8.2f} %{verdict}"


if __name__ == "__main__":
    main()
