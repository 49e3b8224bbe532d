"""Runs a load against a broker of our own or another one, with a live display, and sums up what it measured."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from brokertuner_tui.broker.interface import Broker
from brokertuner_tui.broker.kinds import make_broker
from brokertuner_tui.broker.probe import Probe, ProbeError
from brokertuner_tui.cli import output
from brokertuner_tui.cli.signals import StopSignals
from brokertuner_tui.cli.window_sum import WindowSum
from brokertuner_tui.cli.workload_display import Display
from brokertuner_tui.config.settings import Settings
from brokertuner_tui.errors import ConnectionFailed, ExitCode, TunerError
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.workload.builtin import BuiltinLoad
from brokertuner_tui.workload.emqtt_bench import EmqttBenchLoad
from brokertuner_tui.workload.load import Load, LoadError
from brokertuner_tui.workload.profile import Profile, Workload

_PROBE_S = 5.0
_TICK_S = 0.25
_LONGEST_DRAIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """A broker that runs already."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Part:
    """A profile for some seconds; a workload of phases is measured in several of them."""

    profile: Profile
    seconds: float


class LoadRun:
    """One run of `brokertuner-tui workload`."""

    def __init__(self, settings: Settings, workload: Workload, seconds: float, target: Target | None, *, as_json: bool) -> None:
        self._settings, self._workload, self._seconds, self._target = settings, workload, seconds, target
        self._as_json = as_json
        self._sum = WindowSum()

    def run(self) -> int:
        """Measures; gives the exit code.

        Raises:
            ConnectionFailed: the other broker does not answer.
            TunerError: there is no broker to run, or load or broker ended before their time.
        """
        with ExitStack() as stack:
            signals = stack.enter_context(StopSignals())
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="brokertuner-workload-")))
            broker = stack.enter_context(self._managed(folder)) if self._target is None else None
            target = self._target or Target(broker.host if broker else "", broker.port if broker else 0)
            if broker is None:
                _probe(target)
            load = _make_load(self._settings, folder)
            stack.callback(load.stop)
            first = next(parts(self._workload, self._seconds))
            load.start(first.profile, Endpoint(target.host, target.port))
            display = stack.enter_context(Display(self._workload, target.host, target.port, broker, as_json=self._as_json))
            for number, part in enumerate(parts(self._workload, self._seconds)):
                if number:
                    load.change(part.profile)
                self._measure(load, part, display, broker, signals)
                if signals.received is not None:
                    break
        if self._sum.windows:
            display.summary(self._sum)
        return ExitCode.DONE if signals.received is None else signals.exit_code

    @contextmanager
    def _managed(self, folder: Path) -> Iterator[Broker]:
        managed = make_broker(self._settings.broker, folder / "broker")
        try:
            managed.start(managed.baseline)
            yield managed
        finally:
            managed.stop()

    def _measure(self, load: Load, part: Part, display: Display, broker: Broker | None, signals: StopSignals) -> None:
        self._await_ready(load, part.profile, signals)
        if signals.received is not None:
            return
        display.begin(part.profile)
        load.open_window()
        end = time.monotonic() + part.seconds
        while signals.received is None and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _TICK_S))
            status = load.status()
            if status.state == "dead":
                raise LoadError(status.error or "the load's process died")
            if broker is not None and not broker.alive():
                raise TunerError(f"the broker ended: {broker.status().error or 'its process is gone'}")
            display.tick(status, self._sum)
        if signals.received is not None:
            output.say("ending; messages under way are awaited (Ctrl-C forces it)")
        self._sum.add(load.close_window(drain_s(part.profile)))

    def _await_ready(self, load: Load, profile: Profile, signals: StopSignals) -> None:
        try:
            load.wait_ready(self._settings.load.ready_sec, lambda: signals.received is not None)
        except LoadError as error:
            if signals.received is not None:
                return
            if load.status().pid is None:
                raise
            raise ConnectionFailed(f"{profile.clients} clients could not connect: {error}") from error


def parts(workload: Workload, seconds: float) -> Iterator[Part]:
    """What runs after what, for `seconds` in all."""
    left = seconds
    while left > 1e-6:
        for phase in workload.phases:
            length = min(phase.seconds, left)
            yield Part(phase.profile, length)
            left -= length
            if left <= 1e-6:
                return


def drain_s(profile: Profile) -> float:
    """How long stragglers are awaited: well beyond the profile's SLO and round trips."""
    return min(_LONGEST_DRAIN_S, 2.0 + (10 * profile.slo_ms + 20 * profile.client_rtt_ms) / 1000)


def _make_load(settings: Settings, folder: Path) -> Load:
    return EmqttBenchLoad(folder) if settings.load.generator == "emqtt_bench" else BuiltinLoad(folder)


def _probe(target: Target) -> None:
    try:
        with Probe(Endpoint(target.host, target.port), time.monotonic() + _PROBE_S):
            return
    except ProbeError as error:
        raise ConnectionFailed(f"the broker at {target.host}:{target.port} does not answer: {error}") from error
