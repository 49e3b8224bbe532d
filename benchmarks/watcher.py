"""Watches a broker and its load from outside, fifty times a second: as one small client, which knows nothing of the tuner."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from brokertuner_tui.mqtt import packets
from brokertuner_tui.workload.builtin import TOPIC_PREFIX
from brokertuner_tui.workload.generator.layout import topic_name

_STEP_S = 0.02
_SILENT_S = 0.1
"""A broker that has not answered a PINGREQ for so long is not up (one that is busy may take a while)."""
_FLOW_S = 0.3
_PINGRESP = 0xD0
_AWAY = (psutil.STATUS_ZOMBIE, psutil.STATUS_STOPPED, psutil.STATUS_DEAD)


@dataclass(slots=True)
class Seen:
    """A look every 20 ms: when (monotonic), and what was true."""

    at: list[float] = field(default_factory=list)
    broker: list[bool] = field(default_factory=list)
    load: list[bool] = field(default_factory=list)
    flowing: list[bool] = field(default_factory=list)

    @property
    def until(self) -> float:
        """When it was looked last."""
        return self.at[-1]

    def share_up(self) -> float:
        """Of the time: broker up and load running."""
        return sum(one and other for one, other in zip(self.broker, self.load, strict=True)) / len(self.at)

    def share_broker_up(self) -> float:
        """Of the time: the broker answers."""
        return sum(self.broker) / len(self.at)

    def share_flowing(self) -> float:
        """Of the time: a message of the load came within the last 0.3 s."""
        return sum(self.flowing) / len(self.at)

    def recoveries(self, faults: list[float]) -> list[float]:
        """For each fault, seconds until broker and load were there again, and stayed for half a second.

        A fault that was never seen took less than a look; one that nothing came back from is left out.
        """
        return [found for fault in faults if (found := self._recovery(fault)) is not None]

    def _recovery(self, fault: float) -> float | None:
        began: float | None = None
        up_since: float | None = None
        for at, broker, load in zip(self.at, self.broker, self.load, strict=True):
            if at < fault:
                continue
            if began is None:
                if not (broker and load):
                    began = at
                elif at - fault > 2.0:
                    return 0.0
                continue
            if not (broker and load):
                up_since = None
            elif up_since is None:
                up_since = at
            elif at - up_since >= 0.5:
                return up_since - fault
        return None


class Watcher:
    """Looks until `stop`.

    Args:
        port: of the broker, on loopback; it stays the same through restarts.
        find_load: the load's process; None while there is none.
    """

    def __init__(self, port: int, find_load: Callable[[], psutil.Process | None]) -> None:
        self._port, self._find_load = port, find_load
        self._stop = threading.Event()
        self._seen = Seen()
        self._answered_at = self._message_at = float("-inf")
        self._load = False
        self._threads = [
            threading.Thread(target=run, daemon=True) for run in (self._be_a_client, self._look_at_load, self._note)
        ]

    def start(self) -> None:
        """Begins; returns when the broker has answered once.

        Raises:
            TimeoutError: it does not.
        """
        self._threads[0].start()
        self._threads[1].start()
        deadline = time.monotonic() + 30
        while self._answered_at < 0 or not self._load:
            if time.monotonic() > deadline:
                raise TimeoutError("the broker does not answer")
            time.sleep(0.01)
        self._threads[2].start()

    def stop(self) -> Seen:
        """Ends; gives what was seen. May be called again."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(5.0)
        return self._seen

    def _note(self) -> None:
        while not self._stop.wait(_STEP_S):
            now = time.monotonic()
            self._seen.at.append(now)
            self._seen.broker.append(now - self._answered_at < _SILENT_S)
            self._seen.load.append(self._load)
            self._seen.flowing.append(now - self._message_at < _FLOW_S)

    def _look_at_load(self) -> None:
        process: psutil.Process | None = None
        while not self._stop.wait(_STEP_S):
            try:
                if process is None:
                    process = self._find_load()
                self._load = process is not None and process.is_running() and process.status() not in _AWAY
            except psutil.Error:
                self._load = False
            if not self._load:
                process = None

    def _be_a_client(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=0.2) as connection:
                connection.settimeout(_STEP_S)
                connection.sendall(packets.connect("soak-watcher"))
                connection.sendall(packets.subscribe(1, [(topic_name(f"{TOPIC_PREFIX}/+", 0), 0)]))
                self._serve(connection)
            self._stop.wait(0.005)

    def _serve(self, connection: socket.socket) -> None:
        buffer = bytearray()
        asked_at = 0.0
        while not self._stop.is_set():
            now = time.monotonic()
            if now - asked_at >= _STEP_S:
                asked_at = now
                connection.sendall(packets.PINGREQ_PACKET)
            try:
                data = connection.recv(65536)
            except TimeoutError:
                if now - self._answered_at > 5.0:
                    return
                continue
            if not data:
                return
            buffer += data
            while (packet := packets.next_packet(buffer)) is not None:
                first, _ = packet
                if first == _PINGRESP or first >> 4 == packets.CONNACK:
                    self._answered_at = time.monotonic()
                elif first >> 4 == packets.PUBLISH:
                    self._message_at = time.monotonic()
