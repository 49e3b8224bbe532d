"""A session without a broker: the same events in the same order as a real one, from a small seeded simulation.

The figures follow the `fanout` load: 100 subscribers that acknowledge after 50 ms, so that the number of messages in flight
decides what is on time. Tests fold its events, or let the app run against `FakeSession`; `python -m tests.tui.look` shows it.
"""

from __future__ import annotations

import math
import queue
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from brokertuner_tui.broker.interface import Applied, BrokerStatus
from brokertuner_tui.env.outcome import Outcome, PhaseName, Timings, Usage, Verdict
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import NAMES, Value, changed, defaults, needs_restart
from brokertuner_tui.telemetry.sample import ProcessUsage, Sample, SysRates
from brokertuner_tui.tuning import commands, events
from brokertuner_tui.tuning.events import AgentState, Event, State, TrialFinished, TrialKind
from brokertuner_tui.tuning.stream import EventStream
from brokertuner_tui.workload.load import LoadStatus
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.window import Window

FANOUT = Profile("fanout", publishers=1, subscribers=100, topics=1, qos=1, rate=500, window=1000, client_rtt_ms=50, slo_ms=10)
VERSION = (2, 0, 21)
START = 1_700_000_000.0


def knobs(**values: Value) -> dict[str, Value]:
    """The defaults, with `values`."""
    return {**defaults(VERSION), **values}


def window_for(setting: dict[str, Value], noise: float = 0.0, profile: Profile = FANOUT) -> Window:
    """What the simulated broker does with a setting."""
    inflight = float(setting["max_inflight_messages"] or 65_535)
    offered = profile.rate * profile.fan_out
    capacity = profile.subscribers * inflight / (0.065 if setting["set_tcp_nodelay"] else 0.071)
    lost_share = 0.0
    queued = float(setting["max_queued_messages"] or 1e9)
    if capacity < offered:
        lost_share = min(0.9, max(0.0, 0.75 - queued / 2000))
    received = min(offered, capacity) * (1 - lost_share) * (1 + noise)
    on_time_share = (
        1.0 if capacity > 1.05 * offered else max(0.0, (capacity / offered - 0.85) * 4) if capacity > offered else 0.0
    )
    p50 = (0.46 if setting["set_tcp_nodelay"] else 0.7) if on_time_share else 900.0 * offered / capacity
    on_time = int(received * on_time_share)
    histogram = tuple(
        (p50 * 1.25**step, int(received * weight))
        for step, weight in zip(range(-4, 9), (1, 4, 9, 18, 25, 18, 11, 6, 4, 2, 1, 0.6, 0.4), strict=True)
    )
    slices = tuple(max(0, int(on_time / 20 * (1 + noise + 0.01 * math.sin(index)))) for index in range(20))
    return Window(
        1.0, int(profile.rate), int(offered), int(received), on_time, int(received) - on_time, int(offered * lost_share),
        int(offered - received), 0, p50, p50 * 1.6, p50 * 2.1, p50 * 3.3, p50 * 13, histogram, slices, 0.05, 101, 0, 0.31,
    )  # fmt: skip


def applied(old: dict[str, Value], new: dict[str, Value], pid: int, old_pid: int | None) -> Applied:
    """A change that came into force."""
    how: Literal["start", "restart", "reload", "none"] = "restart" if needs_restart(old, new) else "reload"
    if old_pid is None:
        how = "start"
    elif old == new:
        how = "none"
    restart = how in ("start", "restart")
    total = 0.0142 if restart else 0.0021
    return Applied(
        how, new, changed(old, new), pid, old_pid if restart else pid, 0.001, 0.001, 0.004, 0.003, total,
        ("process", "port owner", "CONNACK", "round trip", "log"),
    )  # fmt: skip


class Simulation:
    """The state of a make-believe run; every method gives the events that a session would emit."""

    def __init__(self, *, seed: int = 7, total: int = 60, at: float = START, profile: Profile = FANOUT) -> None:
        self.random = random.Random(seed)
        self.at, self.began, self.total, self.profile = at, at, total, profile
        self.knobs = knobs()
        self.best_knobs: dict[str, Value] = knobs()
        self.best_rate, self.best_trial = -1.0, 0
        self.trial, self.pid, self.restarts = 0, 30_741, 0
        self.last_applied: Applied | None = None
        self.state = State.STARTING
        self.broker_state: Literal["listening", "failed"] = "listening"
        self.load_restarts = 0
        self.pinned: dict[str, Value] = {}

    def start(self) -> list[Event]:
        """The run has begun."""
        self.state = State.TUNING
        self.last_applied = (
            applied({}, self.knobs, self.pid, None) if False else applied(self.knobs, self.knobs, self.pid, None)
        )
        return [
            events.RunStarted(
                self.at, "20260417-120312-7f3a", "slo", "fanout", self.profile, VERSION, "managed", "127.0.0.1", 41_883,
                self.total, knobs(), self.pinned, "/home/me/.local/share/brokertuner-tui",
            ),
            events.BrokerChanged(self.at, self.last_applied, "started"),
            events.LoadChanged(self.at, "the load is up: 101 clients", self.profile, 0),
            events.StateChanged(self.at, State.TUNING),
        ]  # fmt: skip

    def sample(self) -> events.Sampled:
        """A reading."""
        window = window_for(self.knobs, self.random.gauss(0, 0.004), self.profile)
        up = self.broker_state == "listening"
        usage = ProcessUsage(
            self.pid if up else None,
            (41 + self.random.gauss(0, 3)) * min(1.0, 0.4 + window.received / 50_000) if up else 0.0,
            int(8.5e6 + 2e5 * math.sin(self.at / 9)) if up else 0,
            2400.0 if up else 0.0,
        )
        status = BrokerStatus(
            self.broker_state, "127.0.0.1", 41_883, self.pid if up else None, self.at - 42 if up else None, VERSION,
            self.restarts, self.knobs if up else None, self.last_applied, "" if up else "Error: Out of memory.",
        )  # fmt: skip
        load = LoadStatus(
            "running", 30_999, self.profile, 101 if up else 0, 101, self.restarts * 101, 500 * self.trial,
            window.received * self.trial, window.on_time * self.trial, 0.31,
        )  # fmt: skip
        sample = Sample(
            self.at - START, self.at, status, load, SysRates(102, 500, 5e4, 0, 8_000_000, 42, "2.0.21", 1.0, False), usage,
            window.sent_per_s, window.received_per_s if up else 0.0, window.on_time_per_s if up else 0.0,
        )  # fmt: skip
        return events.Sampled(self.at, sample)

    def propose(self) -> tuple[dict[str, Value], TrialKind, str]:
        """What an agent that learns would try next."""
        rng, number = self.random, self.trial + 1
        if number == 1:
            return knobs() | self.pinned, TrialKind.DEFAULT, "the reference for everything else"
        if number <= 12:
            wild = dict(self.knobs)
            for name, value in (
                ("max_inflight_messages", int(10 ** rng.uniform(0.3, 3.2))),
                ("max_queued_messages", int(10 ** rng.uniform(1, 4.5))),
                ("set_tcp_nodelay", rng.random() < 0.5),
                ("queue_qos0_messages", rng.random() < 0.5),
                ("autosave_interval", int(10 ** rng.uniform(1.5, 4))),
            ):
                wild[name] = value
            return wild | self.pinned, TrialKind.WARM_UP, "spread over the range: nothing is known yet"
        near = dict(self.best_knobs)
        near["max_inflight_messages"] = max(1, int(float(near["max_inflight_messages"]) * math.exp(rng.gauss(0, 0.5))))
        if rng.random() < 0.5:
            near["max_queued_messages"] = max(1, int(float(near["max_queued_messages"]) * math.exp(rng.gauss(0, 0.4))))
        if rng.random() < 0.3:
            near["set_tcp_nodelay"] = not near["set_tcp_nodelay"]
        why = "31 % were late at 20 in flight, 50 ms away"
        return near | self.pinned, TrialKind.BEST if number % 9 == 0 else TrialKind.AGENT, why

    def run_trial(
        self, setting: dict[str, Value] | None = None, *, verdict: Verdict = Verdict.OK, reason: str = "", seconds: float = 1.3
    ) -> list[Event]:
        """One whole trial: its phases, telemetry, and its end."""
        return list(self.trial_events(setting, verdict=verdict, reason=reason, seconds=seconds))

    def trial_events(
        self, setting: dict[str, Value] | None = None, *, verdict: Verdict = Verdict.OK, reason: str = "", seconds: float = 1.3
    ) -> Iterator[Event]:
        """The same, an event at a time; `at` has moved on by the time that each comes."""
        number = self.trial + 1
        new, kind, why = self.propose()
        if setting is not None:
            new, kind, why = setting, TrialKind.MANUAL, "set by hand"
        yield events.PhaseChanged(self.at, number, PhaseName.PROPOSING)
        self.at += 0.01
        yield events.PhaseChanged(self.at, number, PhaseName.APPLYING)
        old, old_pid = self.knobs, self.pid
        if needs_restart(old, new):
            self.pid += self.random.randrange(3, 60)
            self.restarts += 1
        change = applied(old, new, self.pid, old_pid)
        self.knobs, self.last_applied = new, change
        self.at += 0.05
        for phase, share in ((PhaseName.SETTLING, 0.25), (PhaseName.MEASURING, 0.75)):
            yield events.PhaseChanged(self.at, number, phase, seconds * share)
            self.at += seconds * share / 2
            yield self.sample()
            self.at += seconds * share / 2
        yield events.PhaseChanged(self.at, number, PhaseName.LEARNING)
        self.at += 0.02
        yield self._finish(number, kind, verdict, reason, change, changed(old, new), why)

    def _finish(
        self, number: int, kind: TrialKind, verdict: Verdict, reason: str, change: Applied, moved: tuple[str, ...], why: str
    ) -> TrialFinished:
        window = window_for(self.knobs, self.random.gauss(0, 0.004), self.profile) if verdict is Verdict.OK else None
        rate = window.on_time_per_s if window else -1.0
        is_best = rate > self.best_rate
        if is_best:
            self.best_rate, self.best_trial, self.best_knobs = rate, number, dict(self.knobs)
        self.trial = number
        reward = (rate / 50_000 - 0.09) if window else None
        outcome = Outcome(
            self.knobs, self.profile, VERSION, verdict, reason, change, window, Usage(41.0, 8_500_000, 2400.0),
            None, Timings(0.002, change.total_s, 0.038, 0.3, 1.0, 0.02, 0.004),
        )  # fmt: skip
        learning = number > 12
        agent = AgentState(
            "default" if kind is TrialKind.DEFAULT else "actor" if learning else "warm-up",
            max(0.08, 0.4 * 0.97**number), 0.004 if learning else None, -0.61 if learning else None, number, 40 * number, why,
        )  # fmt: skip
        return TrialFinished(
            self.at, number, kind, outcome, reward, {"on time": reward or 0.0, "cpu": -0.008}, (0.0,) * 11, (0.0,) * 24,
            (0.0,) * 24, agent, moved, is_best, self.best_trial or None,
        )  # fmt: skip

    def confirmed(self) -> events.Confirmed:
        """Default and best were measured in turns."""
        default = events.Measured(28_900.0, 28_700.0, 29_100.0, 28_950.0, 0.99, 740.0, 5)
        best = events.Measured(49_930.0, 49_800.0, 50_060.0, 49_940.0, 1.0, 1.6, 5)
        return events.Confirmed(self.at, "fanout", default, best, self.best_knobs, self.best_trial, 1.71, 1.74, True)

    def finish(self, state: State = State.COMPLETED, reason: str = "") -> list[Event]:
        """The end."""
        self.state = state
        return [
            events.StateChanged(self.at, State.STOPPING),
            events.RunFinished(
                self.at, "20260417-120312-7f3a", state, reason, self.trial, self.at - self.began, None, None, None, "best",
                self.restarts, self.load_restarts, None,
            ),
        ]  # fmt: skip


def history(trials: int, *, seed: int = 7, total: int = 60) -> tuple[Simulation, list[Event]]:
    """The events of the first `trials` trials, among them one failed and one inconclusive (from 24 on)."""
    simulation = Simulation(seed=seed, total=total)
    told = simulation.start()
    for number in range(1, trials + 1):
        if number == 15:
            told += simulation.run_trial(
                verdict=Verdict.FAILED, reason="the broker refused: Error: Out of memory. The last good config was put back"
            )
        elif number == 24:
            told += simulation.run_trial(verdict=Verdict.INCONCLUSIVE, reason="the load lost its connections")
        else:
            told += simulation.run_trial()
    return simulation, told


class FakeSession:
    """A session in a thread of its own that plays a simulation. `speed` 10 plays it ten times as fast."""

    def __init__(self, *, speed: float = 1.0, total: int = 60, played: int = 0, error: TunerError | None = None) -> None:
        self.events = EventStream()
        self.error: TunerError | None = None
        self.summary: events.RunFinished | None = None
        self.sent: list[commands.Command] = []
        self._fails_with = error
        self._speed, self._played = speed, played
        self._inbox: queue.SimpleQueue[commands.Command] = queue.SimpleQueue()
        self._simulation = Simulation(total=total, at=time.time())
        self._next: dict[str, Value] | None = None
        self._stop: commands.Stop | None = None
        self._thread = threading.Thread(target=self._run, name="tuning", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def send(self, command: commands.Command) -> None:
        """Asks for something."""
        self.sent.append(command)
        self._inbox.put(command)

    def join(self, timeout_s: float | None = None) -> bool:
        """Waits for the end."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        simulation = self._simulation
        if self._fails_with is not None:
            self.error = self._fails_with
            self._put(simulation.finish(State.FAILED, str(self._fails_with))[-1])
            return
        simulation.at = time.time() - 1.4 * self._played
        simulation.began = simulation.at
        for event in simulation.start():
            self._put(event)
        for _ in range(self._played):
            for event in simulation.trial_events():
                if not isinstance(event, events.PhaseChanged):
                    self._put(event)
        while self._stop is None:
            self._obey()
            if simulation.state is State.PAUSED:
                simulation.at = time.time()
                self._put(simulation.sample())
                time.sleep(0.25 / self._speed)
            else:
                self._play_trial()
        for event in simulation.finish(State(self._stop.state)):
            self._put(event)

    def _play_trial(self) -> None:
        simulation = self._simulation
        simulation.at = time.time()
        setting, self._next = self._next, None
        for event in simulation.trial_events(setting):
            wait = (event.at - time.time()) / self._speed
            if wait > 0:
                time.sleep(wait)
            self._put(event)
            self._obey()
            if self._stop is not None:
                return
        if simulation.state is State.STEPPING:
            self._enter(State.PAUSED, "one trial done")

    def _enter(self, state: State, reason: str = "") -> None:
        if state is not self._simulation.state:
            self._simulation.state = state
            self._put(events.StateChanged(time.time(), state, reason))

    def _obey(self) -> None:
        while True:
            try:
                command = self._inbox.get_nowait()
            except queue.Empty:
                return
            self._carry_out(command)

    def _carry_out(self, command: commands.Command) -> None:
        simulation = self._simulation
        match command:
            case commands.Pause():
                self._enter(State.PAUSED, "by the operator")
            case commands.Resume():
                self._enter(State.TUNING)
            case commands.Step():
                self._enter(State.STEPPING)
            case commands.Pin(knob, value):
                simulation.pinned = {**simulation.pinned, knob: simulation.knobs[knob] if value is None else value}
                self._put(events.PinsChanged(time.time(), simulation.pinned))
            case commands.Unpin(knob):
                simulation.pinned = {name: value for name, value in simulation.pinned.items() if name != knob}
                self._put(events.PinsChanged(time.time(), simulation.pinned))
            case commands.SetKnob(knob, value):
                self._next = {**simulation.knobs, knob: value}
                self._change(self._next, f"{knob} set by the operator")
            case commands.RestartBroker():
                self._change(simulation.knobs, "restarted by the operator", restart=True)
            case commands.RestartLoad():
                simulation.load_restarts += 1
                self._put(events.LoadChanged(time.time(), "load restarted by the operator", FANOUT, simulation.load_restarts))
            case commands.ApplyBest():
                self._enter(State.PAUSED, "the best was asked for")
                self._change(simulation.best_knobs, f"the best so far, of trial {simulation.best_trial}")
            case commands.ApplyDefaults():
                self._enter(State.PAUSED, "the defaults were asked for")
                self._change(knobs(), "back to the defaults")
            case commands.Stop():
                self._stop = command

    def _change(self, new: dict[str, Value], why: str, *, restart: bool = False) -> None:
        simulation = self._simulation
        old, old_pid = simulation.knobs, simulation.pid
        change = applied(old, new, old_pid, old_pid)
        if restart or change.how == "restart":
            simulation.pid += 7
            simulation.restarts += 1
            change = replace(change, how="restart", pid=simulation.pid, old_pid=old_pid, total_s=0.0142)
        simulation.knobs, simulation.last_applied = new, change
        self._put(events.BrokerChanged(time.time(), change, why))

    def _put(self, event: Event) -> None:
        if isinstance(event, events.RunFinished):
            self.summary = event
        self.events.put(event)


class StillSession:
    """A session that has told its events and waits; it notes what it is sent, and ends when it is asked to."""

    def __init__(self, told: list[Event], *, ends: bool = True) -> None:
        self.events = EventStream()
        self.error: TunerError | None = None
        self.summary: events.RunFinished | None = None
        self.sent: list[commands.Command] = []
        self._told, self._ends = told, ends
        self._over = threading.Event()

    def start(self) -> None:
        """Tells everything at once."""
        for event in self._told:
            self.events.put(event)

    def tell(self, *told: Event) -> None:
        """Something more has happened."""
        for event in told:
            self.events.put(event)

    def send(self, command: commands.Command) -> None:
        """Notes it."""
        self.sent.append(command)
        if isinstance(command, commands.Stop) and self._ends:
            self.end()

    def end(self, state: State = State.CANCELLED) -> None:
        """The run is over."""
        self.summary = events.RunFinished(START, "run", state, "", 1, 1.0, None, None, None, "nothing", 0, 0, None)
        self._over.set()
        self.events.put(self.summary)

    def join(self, timeout_s: float | None = None) -> bool:
        """Waits for the end."""
        return self._over.wait(timeout_s)


assert set(knobs()) == set(NAMES)
