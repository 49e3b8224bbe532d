"""Runs a load against a broker of our own or another one, with a live display, and sums up what it measured."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from brokertuner_tui.broker.interface import Broker
from brokertuner_tui.broker.kinds import make_broker
from brokertuner_tui.broker.probe import Dropped, NotAuthorised, Probe, ProbeError
from brokertuner_tui.cli import output
from brokertuner_tui.cli.signals import StopSignals
from brokertuner_tui.cli.window_sum import WindowSum
from brokertuner_tui.cli.workload_display import Display
from brokertuner_tui.config.settings import Settings
from brokertuner_tui.errors import ConnectionFailed, ExitCode, TunerError
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.workload import live
from brokertuner_tui.workload.builtin import BuiltinLoad
from brokertuner_tui.workload.emqtt_bench.load import EmqttBenchLoad
from brokertuner_tui.workload.load import Load, LoadError, Watched
from brokertuner_tui.workload.profile import Profile, Workload

_PROBE_S = 5.0
_TICK_S = 0.25
_LONGEST_DRAIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Part:
    """A profile for some seconds; a workload of phases is measured in several of them."""

    profile: Profile
    seconds: float


class LoadRun:
    """One run of `brokertuner-tui workload`."""

    def __init__(
        self, settings: Settings, workload: Workload, seconds: float, target: Endpoint | None, *, as_json: bool
    ) -> None:
        self._settings, self._workload, self._seconds, self._target = settings, workload, seconds, target
        self._as_json = as_json
        self._sum = WindowSum()

    @property
    def total(self) -> WindowSum:
        """What was measured."""
        return self._sum

    def run(self) -> int:
        """Measures; gives the exit code.

        Raises:
            ConnectionFailed: the other broker does not answer.
            TunerError: there is no broker to run, or load or broker ended before their time.
        """
        with ExitStack() as stack:
            signals = stack.enter_context(StopSignals())
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="brokertuner-workload-")))
            broker, target = None, self._target
            if target is None:
                broker = stack.enter_context(self._of_config(folder))
                target = broker.endpoint
            else:
                _probe(target)
            load = _make_load(self._settings, folder, self._workload)
            stack.callback(load.stop)
            first = next(parts(self._workload, self._seconds))
            load.start(first.profile, target)
            display = stack.enter_context(Display(self._workload, target.host, target.port, broker, as_json=self._as_json))
            for number, stretch in enumerate(self._stretches()):
                if number:
                    load.change(stretch[0].profile)
                self._measure(load, stretch, display, broker, signals)
                if signals.received is not None:
                    break
        if self._sum.windows:
            display.summary(self._sum)
        return ExitCode.DONE if signals.received is None else signals.exit_code

    def _stretches(self) -> Iterator[list[Part]]:
        following = parts(self._workload, self._seconds)
        return stretches(following) if self._settings.load.generator == "builtin" else ([part] for part in following)

    @contextmanager
    def _of_config(self, folder: Path) -> Iterator[Broker]:
        broker = make_broker(self._settings.broker, folder / "broker")
        try:
            broker.start(broker.baseline)
            yield broker
        finally:
            broker.stop()

    def _measure(
        self, load: Load, stretch: Sequence[Part], display: Display, broker: Broker | None, signals: StopSignals
    ) -> None:
        """One window over parts that share their clients."""
        self._await_ready(load, stretch[0].profile, signals)
        if signals.received is not None:
            return
        load.open_window()
        end = time.monotonic()
        for number, part in enumerate(stretch):
            if number:
                load.change(part.profile)
            display.begin(part.profile)
            end += part.seconds
            self._watch(load, end, display, broker, signals)
            if signals.received is not None:
                output.say("ending; messages under way are awaited (Ctrl-C forces it)")
                break
        while isinstance(load, Watched) and not load.whole() and signals.received is None:
            self._watch(load, time.monotonic() + _TICK_S, display, broker, signals)
        self._sum.add(load.close_window(drain_s(stretch[0].profile)))

    def _watch(self, load: Load, end: float, display: Display, broker: Broker | None, signals: StopSignals) -> None:
        while signals.received is None and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _TICK_S))
            status = load.status()
            if status.state == "dead":
                raise LoadError(status.error or "the load's process died")
            if broker is not None and not broker.alive():
                raise TunerError(f"the broker ended: {broker.status().error or 'its process is gone'}")
            display.tick(status, self._sum)

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


def stretches(following: Iterable[Part]) -> Iterator[list[Part]]:
    """Parts put together that follow each other and differ in their rates alone: the load's clients stay."""
    together: list[Part] = []
    for part in following:
        if together and together[-1].profile.with_rates_of(part.profile) is None:
            yield together
            together = []
        together.append(part)
    if together:
        yield together


def drain_s(profile: Profile) -> float:
    """How long stragglers are awaited: well beyond the profile's SLO and round trips."""
    return min(_LONGEST_DRAIN_S, 2.0 + (10 * profile.slo_ms + 20 * profile.client_rtt_ms) / 1000)


def _make_load(settings: Settings, folder: Path, workload: Workload) -> Load:
    if workload.name == live.NAME:
        from brokertuner_tui.workload.live.load import LiveLoad

        return LiveLoad(folder, settings.live)
    return EmqttBenchLoad(folder) if settings.load.generator == "emqtt_bench" else BuiltinLoad(folder)


def _probe(target: Endpoint) -> None:
    try:
        with Probe(target, time.monotonic() + _PROBE_S) as probe:
            probe.hello()
    except NotAuthorised as error:
        raise ConnectionFailed(f"the broker at {target} does not let us in: {error}") from error
    except ProbeError as error:
        hint = "; does the port want TLS, or a WebSocket?" if isinstance(error, Dropped) and target.tls is None else ""
        raise ConnectionFailed(f"the broker at {target} does not answer: {error}{hint}") from error
