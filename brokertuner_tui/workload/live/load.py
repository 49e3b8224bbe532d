"""Live traffic as the tuner sees a load: what a probe, `$SYS` and chosen topics say of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from brokertuner_tui.config.settings import LiveSettings
from brokertuner_tui.connection.policy import POLICIES
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.telemetry.sample import SysRates
from brokertuner_tui.telemetry.sys_topics import SysTopics
from brokertuner_tui.workload.builtin import BuiltinLoad
from brokertuner_tui.workload.live import probe
from brokertuner_tui.workload.live.figures import NOTHING_BACK, LiveFigures, Sequenced
from brokertuner_tui.workload.live.listener import Listener
from brokertuner_tui.workload.live.publications import (
    BYTES_IN,
    BYTES_OUT,
    DROPPED,
    PACKETS_IN,
    RECEIVED,
    SENT,
    Difference,
    Publications,
    blind_spots,
    counts_qos2,
)
from brokertuner_tui.workload.live.traffic import initial_profile, observed
from brokertuner_tui.workload.load import LoadError, LoadStatus
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.window import Window

_READ_EVERY_S = 0.1
_REPORT_S = 0.25
_STOP_S = 10.0
"""The generator reports four times a second."""
_ACL = NOTHING_BACK + ": an ACL must allow reading and writing below {}"


@dataclass(frozen=True, slots=True)
class _Open:
    """How things stood when the window was opened."""

    at: float
    totals: tuple[int, int]
    """Sent and on time, of the probe."""
    listened: dict[str, Any] | None
    restarts: int


class LiveLoad:
    """A `Load` and `Watched` (see there) that makes no traffic but its probe's.

    The probe is run by the built-in generator, so that neither its sending nor its receiving waits for the tuner.

    Args:
        folder: for logs.
        read_sys: gives what `$SYS` says now; None: a client of its own is made.
        heartbeats_s: one for each client of ours that only asks whether the broker answers: how often.
    """

    def __init__(
        self,
        folder: Path,
        settings: LiveSettings,
        read_sys: Callable[[], SysRates] | None = None,
        *,
        heartbeats_s: tuple[float, ...] = (),
    ) -> None:
        self._folder, self._settings = folder, settings
        self._levels = probe.qos_levels(settings)
        self._probe = BuiltinLoad(folder, settings.probe_topic, late_acks=True)
        self._given_sys = read_sys
        self._heartbeats_s = heartbeats_s
        self._own_sys: SysTopics | None = None
        self._lock = threading.Lock()
        self._publications = Publications()
        self._stopped = threading.Event()
        self._reader: threading.Thread | None = None
        self._listener: Listener | None = None
        self._endpoint: Endpoint | None = None
        self._rate = min(settings.probe_rate, probe.LEAST_PER_S)
        self._others_packets_per_s: float | None = None
        self._open: _Open | None = None
        self._observed = initial_profile(settings)
        self._came = False
        self._error = ""

    # -- Load ------------------------------------------------------------------------------------------------------

    def start(self, profile: Profile, endpoint: Endpoint) -> None:
        """See `Load`; `profile` is not asked: the traffic is what it is."""
        self.stop()
        self._endpoint, self._error = endpoint, ""
        self._probe.start(probe.profile(self._settings, self._rate), endpoint)
        self._start_reading(endpoint)
        if self._settings.subscribe:
            try:
                self._listener = Listener(
                    endpoint, self._settings.subscribe, self._settings.sequence, self._folder / "listener.log"
                )
            except LoadError as error:
                self.stop()
                self._error = str(error)
                raise

    def restart(self) -> None:
        """See `Load`."""
        if self._endpoint is None:
            raise LoadError("the load was never started")
        self.start(self._observed, self._endpoint)

    def change(self, profile: Profile) -> None:
        """See `Load`; there is nothing to change."""

    def wait_ready(self, deadline_s: float, cancelled: Callable[[], bool] = lambda: False) -> float:
        """See `Load`. The first time, it also waits until `$SYS` has said something or is known to be silent."""
        began = time.monotonic()
        self._probe.wait_ready(deadline_s, cancelled)
        while time.monotonic() - began < deadline_s and not cancelled():
            with self._lock:
                now = time.monotonic()
                if self._publications.version or self._publications.silent(now):
                    break
            time.sleep(0.02)
        self._set_pace()
        return time.monotonic() - began

    def expect_restart(self) -> None:
        """See `Load`."""
        self._probe.expect_restart()

    def open_window(self) -> None:
        """See `Load`."""
        listened = self._listener.counts() if self._listener is not None else None
        status = self._probe.status()
        self._probe.open_window()
        with self._lock:
            restarts = self._publications.restarts
        self._open = _Open(time.monotonic(), (status.sent_total, status.on_time_total), listened, restarts)

    def close_window(self, drain_s: float = 0.0) -> Window:
        """See `Load`."""
        opened, self._open = self._open, None
        if opened is None:
            raise LoadError("no window is open")
        window = self._probe.close_window(drain_s)
        listened = self._listener.counts() if self._listener is not None else None
        self._came = self._came or window.received > 0
        figures = self._figures(window, opened, listened)
        self._observed = observed(self._observed, figures)
        self._set_pace()
        return replace(window, live=figures)

    def status(self) -> LoadStatus:
        """See `Load`: the probe's connections and counters; `profile` describes the traffic of the last windows."""
        status = self._probe.status()
        error, state = self._error or status.error, status.state
        if self._listener is not None and not self._listener.alive:
            state, error = "dead", "the process that listens to live topics has ended, or hangs"
        return replace(status, profile=self._observed, error=error, state=state)

    def stop(self) -> None:
        """See `Load`."""
        self._stopped.set()
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.join(_STOP_S)
        own, self._own_sys = self._own_sys, None
        if own is not None:
            own.stop()
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()
        self._probe.stop()

    # -- Watched ---------------------------------------------------------------------------------------------------

    def whole(self) -> bool:
        """See `Watched`."""
        opened, now = self._open, time.monotonic()
        if opened is None:
            return True
        with self._lock:
            known = self._publications
            return known.since(opened.at) is not None or known.silent(now) or now - opened.at > known.patience_s()

    def so_far(self) -> tuple[int, int]:
        """See `Watched`."""
        opened, status = self._open, self._probe.status()
        if opened is None:
            return 0, 0
        # The newest pair may still be on its way, and one may have gone out between the last report and the opening.
        uncertain = len(self._levels) * (4 + self._rate * (self._settings.slo_ms / 1000 + _REPORT_S))
        return max(0, int(status.sent_total - opened.totals[0] - uncertain)), status.on_time_total - opened.totals[1]

    # -- inside ----------------------------------------------------------------------------------------------------

    def _start_reading(self, endpoint: Endpoint) -> None:
        self._publications = Publications()
        read = self._given_sys
        if read is None:
            self._own_sys = SysTopics(endpoint)
            self._own_sys.start()
            read = self._own_sys.read
        self._stopped = stopped = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(read, stopped), name="live-sys", daemon=True)
        self._reader.start()

    def _read(self, read: Callable[[], SysRates], stopped: threading.Event) -> None:
        while not stopped.wait(_READ_EVERY_S):
            sys = read()
            with self._lock:
                self._publications.note(time.monotonic(), sys)

    def _set_pace(self) -> None:
        """Holds the probe to its share of what the broker has to do."""
        with self._lock:
            silent = self._publications.silent(time.monotonic())
        others = None if silent else self._others_packets_per_s
        if others is None and not silent and self._settings.probe_share < 1:
            return  # until it is known, the least
        rate = probe.fitting_rate(self._settings, others, self._rate)
        if rate != self._rate:
            self._probe.change(probe.profile(self._settings, rate))
            self._rate = rate

    def _figures(self, window: Window, opened: _Open, listened: dict[str, Any] | None) -> LiveFigures:
        now = time.monotonic()
        with self._lock:
            counted = self._publications.since(opened.at)
            version, restarts = self._publications.version, self._publications.restarts
            unknown = self._publications.why_unknown(now) if counted is None else ""
        sequenced, heard_per_s, remarks = _heard(opened.listened, listened, now - opened.at)
        if not self._came and window.sent:
            remarks = (_ACL.format(self._settings.probe_topic + "/#"), *remarks)
        if restarts != opened.restarts:
            remarks = ("the broker was restarted in this window, and $SYS began anew", *remarks)
        elif unknown:
            remarks = (unknown, *remarks)
        figures = LiveFigures(
            judged=window.on_time + window.late + window.missing if self._came else 0,
            probe_per_s=window.sent_per_s,
            sys_seconds=0.0,
            offered_per_s=None,
            delivered_per_s=None,
            dropped_per_s=None,
            bytes_in_per_s=None,
            bytes_out_per_s=None,
            clients=None,
            probe_share=None,
            sequenced=sequenced,
            remarks=remarks,
        )
        return figures if counted is None else self._with_sys(figures, counted, window, heard_per_s, version)

    def _with_sys(
        self, figures: LiveFigures, counted: Difference, window: Window, heard_per_s: float, version: str
    ) -> LiveFigures:
        """What the broker counted, less what was ours: known by rate, since our windows and its own do not coincide."""
        seconds, counts = counted.seconds, counted.counts
        sent = dict(zip(self._levels, (part.sent / window.seconds for part in window.parts), strict=True))
        received = sum(part.received for part in window.parts) / window.seconds
        published = sum(rate for qos, rate in sent.items() if qos < 2 or counts_qos2(version))
        ours_in = sum(rate * probe.PACKETS_IN[qos] for qos, rate in sent.items())
        # The client that reads `$SYS` asks as well.
        ours_in += sum(1 / every_s for every_s in (*self._heartbeats_s, POLICIES["default"].heartbeat_s))
        packets = counts[PACKETS_IN] / seconds
        others = max(0.0, packets - ours_in)
        # Traffic comes and goes; the probe must not follow every gust of it.
        known = self._others_packets_per_s
        self._others_packets_per_s = others if known is None else min(others, 0.5 * (known + others))
        share = min(1.0, ours_in / packets) if packets > 0 else None
        remarks = blind_spots(version)
        if share is not None and share > self._settings.probe_share * 1.1:
            what = f"the probe is {100 * share:.3g} % of the packets that the broker receives"
            remarks = (f"{what}: there is little traffic, and it sends a message a second at each QoS at least", *remarks)
        listening = self._listener is not None
        return replace(
            figures,
            sys_seconds=seconds,
            offered_per_s=max(0.0, counts[RECEIVED] / seconds - published),
            delivered_per_s=max(0.0, counts[SENT] / seconds - received - heard_per_s - counted.own_messages / seconds),
            dropped_per_s=counts[DROPPED] / seconds,
            bytes_in_per_s=counts[BYTES_IN] / seconds,
            bytes_out_per_s=counts[BYTES_OUT] / seconds,
            clients=max(0, counted.clients - 2 * len(self._levels) - 1 - listening - len(self._heartbeats_s)),
            probe_share=share,
            remarks=figures.remarks + remarks,
        )


def _heard(
    before: dict[str, Any] | None, after: dict[str, Any] | None, seconds: float
) -> tuple[Sequenced | None, float, tuple[str, ...]]:
    """What was listened to in the window, messages a second of it, and what to say about it."""
    if before is None or after is None:
        return None, 0.0, ()
    new = {name: int(after[name]) - int(before[name]) for name in ("messages", "received", "lost", "duplicated")}
    remarks = [after["error"]] if after["error"] else []
    if new["messages"]:
        per_s = new["messages"] / seconds
        remarks.append(f"listening costs the broker {per_s:,.3g} deliveries a second more")
        if not after["topics"]:
            remarks.append("no payload carries a number that grows by one: losses on the topics listened to cannot be seen")
    sequenced = Sequenced(int(after["topics"]), max(0, new["received"]), max(0, new["lost"]), max(0, new["duplicated"]))
    return sequenced, new["messages"] / seconds, tuple(remarks)
