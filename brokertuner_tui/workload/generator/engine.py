"""The epoll loop: who sends when, what is held back, when is counted, and the parent's commands."""

from __future__ import annotations

import gc
import os
import select
import time
from dataclasses import asdict
from typing import Any

from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.workload.generator.churn import Churn
from brokertuner_tui.workload.generator.connector import MS, Connector, OnConnector
from brokertuner_tui.workload.generator.control import Control, Gone
from brokertuner_tui.workload.generator.crew import Crew, Crews, Names
from brokertuner_tui.workload.generator.delays import Delays
from brokertuner_tui.workload.generator.ledger import FLUSH_MESSAGES, FLUSH_NS
from brokertuner_tui.workload.generator.link import DONE, UP, Link, Peer
from brokertuner_tui.workload.generator.measurement import Measurement, MixMeasurement
from brokertuner_tui.workload.generator.pacer import pause_s
from brokertuner_tui.workload.generator.publisher import Publisher
from brokertuner_tui.workload.generator.subscriber import Subscriber
from brokertuner_tui.workload.profile import Profile

REPORT_NS = 250 * MS
FIRST_LOOK_NS = 300 * MS
"""From the opening of a window to the next report."""
_START_ANYWAY_NS = 2_000 * MS
_REMOVE_NS = 1_000 * MS
_STALL_NS = 1_000 * MS
_NEVER = 1 << 62


class Engine(OnConnector):
    """One process's load. `run` returns when the parent said stop; it ends the process when the parent is gone."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._epoll = select.epoll()
        self._epoll.register(control.fd, select.EPOLLIN)
        self._connector = Connector(self._epoll, self._changed)
        self._churn = Churn(self._epoll, self._connector.by_fd)
        self._running = True
        self._peer: Peer | None = None
        self._names = Names("")
        self._generation = 0
        self._crews: Crews | None = None
        self._profile: Profile | None = None
        self._removing_until_ns = 0
        self._sessions: set[str] = set()
        """Persistent sessions that the broker may have of us, by client id."""
        self.delays = Delays()
        self._hot: list[Publisher] = []
        self._open = False
        """Whether publishers may send."""
        self._pause_s = 0.0
        self._was_ready = False
        self._first_up_ns = 0
        self._measurement: MixMeasurement | None = None
        self._closing: tuple[int, int] | None = None
        """(command id, deadline) of a window that is being drained."""
        self._waiting_for_ready: list[int] = []
        self._next_report_ns = 0
        self._reported = (time.perf_counter_ns(), time.process_time())
        self._totals_before = [0, 0, 0]
        """Sent, received and on time under earlier profiles."""

    # -- the loop --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Works until told to stop."""
        poll, clock, links = self._epoll.poll, time.perf_counter_ns, self._connector.by_fd
        epoll_fd, control_fd = [self._epoll.fileno()], self._control.fd
        while self._running:
            wait_ns = self._work(clock())
            if wait_ns > 0:
                # epoll's own timeout counts in whole milliseconds; select's does not.
                select.select(epoll_fd, (), (), wait_ns / 1e9)
                if self._pause_s and self._open:
                    time.sleep(self._pause_s)
            told = False
            for fd, mask in poll(0):
                link = links.get(fd)
                if link is not None:
                    link.event(mask)
                elif fd == control_fd:
                    told = True
            if told:  # behind the sockets: a connection that has broken is known before anybody is told that all is well
                self._commands()

    def _work(self, now: int) -> int:
        """Does everything that is due; gives the nanoseconds until there is more."""
        until = self._next_report_ns
        if now >= until:
            self._report(now)
            until = self._next_report_ns
        if self._connector.next_try_ns <= now:
            self._connector.connect_more(now)
        until = min(until, self._connector.next_try_ns)
        until = min(until, self.delays.work(now), self._churn.work(now, self._open))
        crews = self._crews
        if crews is None:
            return until - now
        if self._closing:
            until = min(until, now + MS // 2)
            self._drain(now)
        elif self._open:
            paced = crews.pace(now)
            until = until if paced is None else min(until, paced)
            if self._hot:
                self._pump()
                if self._hot:
                    until = now
        for crew in crews:
            if crew.ledger.pending:
                until = min(until, self._count(now, crew))
        return until - now

    def _count(self, now: int, crew: Crew) -> int:
        """Has deliveries counted when there are enough of them, or they have waited for long; says when that is."""
        ledger = crew.ledger
        hurry = crew.counts_deliveries or self._closing
        flush_at = ledger.pending_since_ns + (MS // 2 if hurry else FLUSH_NS)
        if ledger.pending < FLUSH_MESSAGES and now < flush_at:
            return flush_at
        self._flush(now, crew)
        # Nothing else may wake us: all that was under way has come.
        return now if self._hot and self._open and not self._closing else _NEVER

    def _flush(self, now: int, crew: Crew) -> None:
        """Has all deliveries counted. The ledger alone would not tell publishers that there is room."""
        if crew.ledger.pending:
            crew.ledger.flush()
            if crew.counts_deliveries:
                self._refill(now, crew)

    def _pump(self) -> None:
        hot, self._hot = self._hot, []
        for publisher in hot:
            publisher.hot = False
            if publisher.pump():
                self.can_send(publisher)

    def _refill(self, now: int, crew: Crew) -> None:
        """A closed loop of QoS 0: what has been delivered makes room."""
        reached = crew.ledger.delivered_below([link.phase == UP for link in crew.subscribers])
        for publisher, below in zip(crew.publishers, reached.tolist(), strict=True):
            if below > publisher.delivered:
                publisher.delivered = min(below, publisher.next_seq)
                crew.stall_at_ns = now + _STALL_NS
                if publisher.worth_sending:
                    self.can_send(publisher)

    # -- what publishers and subscribers ask (PublisherLoop, SubscriberLoop); the rest is OnConnector -------------------

    def can_send(self, publisher: Publisher) -> None:
        """See `PublisherLoop`."""
        if not publisher.hot:
            publisher.hot = True
            self._hot.append(publisher)

    # -- connections come and go -----------------------------------------------------------------------------------

    def _changed(self, link: Link) -> None:
        """A link came up or went down."""
        crews, now = self._crews, time.perf_counter_ns()
        if crews is None:
            return
        crew = crews.of(link)
        if link.phase == UP and crew is not None:
            if isinstance(link, Subscriber) and not link.session_present:
                crew.ledger.resync(subscriber=link.index)
            elif isinstance(link, Publisher):
                crew.ledger.resync(publisher=link.index)
                self.can_send(link)
            self._first_up_ns = self._first_up_ns or now
        elif self._open and link.phase != DONE and (self._connector.restart_expected or not crews.some_up):
            self._shut()
        if self._connector.ready:
            if self._removing_until_ns:
                self._removed()
                return
            self._was_ready = True
            self._start_publishing(now)
            self._answer_waiting()
        elif self._connector.hopeless:
            self._answer_waiting(refused=self._connector.error)

    def _answer_waiting(self, **fields: str) -> None:
        """Whoever waits until all is ready need not any longer: it is, or will not be (`refused` says why)."""
        waiting, self._waiting_for_ready = self._waiting_for_ready, []
        for command in waiting:
            self._control.answer(command, **fields)

    def _start_publishing(self, now: int) -> None:
        if self._open or self._crews is None:
            return
        self._open = True
        self._crews.start(now)
        for crew in self._crews:
            crew.stall_at_ns = now + _STALL_NS
            for publisher in crew.publishers:
                publisher.owed = 0
                self.can_send(publisher)

    def _shut(self) -> None:
        """Publishers wait until everybody is back: what is sent while nobody listens measures nothing."""
        self._open = False
        self._first_up_ns = 0
        # Absent subscribers look in again (see `AbsentSubscriber`).
        if self._crews is not None:
            self._connector.again(self._crews.absent)

    # -- profiles --------------------------------------------------------------------------------------------------

    def _launch(self, profile: Profile) -> None:
        """Goes over to `profile`: everything is connected anew."""
        assert self._peer is not None
        self._connector.clear()
        if self._crews is not None:
            for index, count in enumerate(self._crews.totals()):
                self._totals_before[index] += count
        self._generation += 1
        self._pause_s = pause_s(profile)
        self._measurement, self._closing = None, None
        self._hot, self._open, self._was_ready, self._first_up_ns = [], False, False, 0
        self._profile = profile
        self.delays.reset(profile.client_rtt_ms)
        crews = self._crews = Crews(profile, self, self._peer, self._names, self._generation)
        self._churn.begin(self._peer, self._names.clean("v", 0, self._generation), profile.protocol, profile.connects)
        gc.collect()
        # A session that somebody may have left behind under our names would hand us its old messages.
        old = self._sessions | set(crews.persistent_ids)
        self._sessions = set(crews.persistent_ids)
        self._removing_until_ns = 0
        if old:
            self._removing_until_ns = time.perf_counter_ns() + _REMOVE_NS
            self._connector.add(crews.removers(old))
        else:
            self._connector.add(crews.everybody)

    def _change(self, profile: Profile) -> None:
        """Goes over to `profile`; where only rates differ, the clients stay, and so does a window that is open."""
        now, crews = time.perf_counter_ns(), self._crews
        if crews is None or self._profile is None or self._profile.with_rates_of(profile) is None:
            self._launch(profile)
            return
        self._profile = profile
        self._pause_s = pause_s(profile)
        crews.retune(now, profile)
        self._churn.retune(profile.connects)

    def _removed(self) -> None:
        """The old sessions are gone, or were given up: on with the profile's own clients."""
        self._removing_until_ns = 0
        self._connector.clear()
        if not self._running or self._profile is None:
            return
        if self._crews is not None:
            self._connector.add(self._crews.everybody)

    # -- commands --------------------------------------------------------------------------------------------------

    def _commands(self) -> None:
        try:
            commands = self._control.commands()
        except Gone:
            os._exit(0)  # the parent is gone; the broker is not ours to tidy up
        for command in commands:
            try:
                self._command(command)
            except (OSError, ValueError, KeyError, TypeError) as error:
                self._control.answer(command.get("id", 0), error=str(error))

    def _command(self, command: dict[str, Any]) -> None:
        number, now = int(command["id"]), time.perf_counter_ns()
        match command["cmd"]:
            case "start":
                self._peer = Peer.find(Endpoint.from_dict(command["endpoint"]), late_acks=bool(command["late_acks"]))
                self._names = Names(str(command["token"]), str(command["prefix"]))
                self._launch(Profile.from_dict(command["profile"]))
            case "change":
                self._report(now)  # what the old profile's totals came to, before anything is counted for the new one
                self._change(Profile.from_dict(command["profile"]))
            case "expect_restart":
                self._connector.expect_restart(now)
            case "ready":
                if not (self._connector.ready and self._was_ready and not self._removing_until_ns):
                    self._waiting_for_ready.append(number)
                    self._connector.try_again()
                    return
            case "open":
                self._open_window(now)
            case "close":
                if self._measurement is None:
                    raise ValueError("no window is open")
                if command["drain_s"] > 0:
                    self._measurement.drain(now)
                    self._closing = (number, now + int(command["drain_s"] * 1e9))
                else:
                    self._close_window(number, now)
                return
            case "stop":
                self._stop()
            case other:
                raise ValueError(f"unknown command {other!r}")
        self._control.answer(number)

    def _open_window(self, now: int) -> None:
        crews = self._crews
        if crews is None or self._profile is None:
            raise ValueError("no load is running")
        parts = []
        for crew in crews:
            self._flush(now, crew)
            for publisher in crew.publishers:
                publisher.log.clear(publisher.next_seq)
            next_seqs, reconnects = crew.next_seqs(), self._connector.reconnects
            parts.append(Measurement(crew.profile, crew.ledger, next_seqs, reconnects, time.perf_counter_ns()))
        self._measurement = MixMeasurement(self._profile, parts)
        # The reports that follow come at the same moments of every window.
        self._next_report_ns = time.perf_counter_ns() + FIRST_LOOK_NS

    def _drain(self, now: int) -> None:
        assert self._closing is not None
        command, deadline = self._closing
        assert self._crews is not None
        # What the socket took half of goes out; nothing else does.
        if now >= deadline or self._crews.drained:
            self._closing = None
            self._close_window(command, now)
            if self._open:  # go on as if the drain had not been: no catching up
                self._open = False
                self._start_publishing(time.perf_counter_ns())

    def _close_window(self, command: int, now: int) -> None:
        crews, measurement = self._crews, self._measurement
        assert crews is not None
        assert measurement is not None
        self._measurement = None
        for crew in crews:
            self._flush(now, crew)
        windows = [
            part.close(
                now,
                crew.next_seqs(),
                [publisher.log for publisher in crew.publishers],
                crew.connected,
                self._connector.reconnects,
            )
            for crew, part in zip(crews, measurement.parts, strict=True)
        ]
        window = measurement.merged(windows, crews.connected)
        self._control.answer(command, window=window.as_dict())
        gc.collect()

    def _stop(self) -> None:
        """Leaves: removes the sessions that the broker would keep, for at most a second."""
        self._churn.end()
        self._connector.clear()
        crews, self._open = self._crews, False
        if self._sessions and crews is not None:
            self._connector.add(crews.removers(self._sessions))
            deadline = time.perf_counter_ns() + _REMOVE_NS
            while not self._connector.ready and time.perf_counter_ns() < deadline:
                self._connector.connect_more(time.perf_counter_ns())
                for fd, mask in self._epoll.poll(0.005):
                    link = self._connector.by_fd.get(fd)
                    if link is not None:
                        link.event(mask)
            self._connector.clear()
        self._running = False

    # -- reports ---------------------------------------------------------------------------------------------------

    def _report(self, now: int) -> None:
        self._next_report_ns = now + REPORT_NS
        self._connector.check(now)
        self._churn.check(now)
        self._control.flush()
        crews, profile = self._crews, self._profile
        if crews is None or profile is None:
            self._control.report(state="starting", profile=None, connected=0, wanted=0)
            return
        if self._removing_until_ns and now >= self._removing_until_ns:
            self._removed()
        if not self._open and self._first_up_ns and crews.some_up and now - self._first_up_ns > _START_ANYWAY_NS:
            self._start_publishing(now)
        for crew in crews:
            self._flush(now, crew)
            if crew.counts_deliveries and self._open and now > crew.stall_at_ns:
                # Nothing has come for a second: what was under way is lost, and must not hold up the loop for good.
                for publisher in crew.publishers:
                    publisher.delivered = publisher.next_seq
                    self.can_send(publisher)
        (then, cpu), self._reported = self._reported, (now, time.process_time())
        ready = self._connector.ready and not self._removing_until_ns
        sent, received, on_time = (a + b for a, b in zip(self._totals_before, crews.totals(), strict=True))
        self._control.report(
            state="running" if ready else "reconnecting" if self._was_ready else "starting",
            profile=profile.name,
            connected=crews.connected,
            wanted=profile.clients,
            reconnects=self._connector.reconnects,
            sent=sent,
            received=received,
            on_time=on_time,
            cpu=(self._reported[1] - cpu) / max(1e-9, (now - then) / 1e9),
            error=self._connector.error,
            latency_ms=self._measurement.latency_ms() if self._measurement is not None else None,
            window=asdict(self._measurement.so_far(now)) if self._measurement is not None else None,
        )
