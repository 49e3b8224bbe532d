"""A TCP proxy on loopback that fails in every way that a network does."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import Literal

Mode = Literal["pass", "cut", "swallow", "no answers", "no requests", "delay"]
_RESET = struct.pack("ii", 1, 0)


class FaultyProxy:
    """Stands before `port`. `connections` has the time of every connection that was begun, time.monotonic().

    `cut`: every connection is reset, new ones at once (each counts as an attempt). `swallow`: half-open: bytes are taken and
    never passed on, in both directions, and new connections are accepted; `no answers`, `no requests`: in one direction only.
    `delay`: bytes are passed on `delay_s` late.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections: list[float] = []
        self.mode: Mode = "pass"
        self.delay_s = 0.0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        """For an agent behind it."""
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Resets everything, and goes on doing so."""
        self.mode = "cut"
        self.drop()

    def drop(self) -> None:
        """Resets what is open now."""
        with self._lock:
            socks, self._open = self._open, set()
        for sock in socks:
            _reset(sock)

    def swallow(self) -> None:
        """From now on nothing arrives any more, and nobody is told."""
        self.mode = "swallow"

    def heal(self) -> None:
        """New connections are passed on; those that were swallowed stay lost."""
        if self.mode in ("swallow", "no answers", "no requests"):
            self.drop()
        self.mode = "pass"

    def close(self) -> None:
        """Ends everything."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()
        for thread in self._threads:
            thread.join(5.0)

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(time.monotonic())
            if self.mode == "cut":
                _reset(client)
                continue
            server = None
            if self.mode != "swallow":
                try:
                    server = socket.create_connection(("127.0.0.1", self._target), 2.0)
                except OSError:
                    _reset(client)
                    continue
            with self._lock:
                self._open.add(client)
                if server is not None:
                    self._open.add(server)
            for one, other, what in ((client, server, "requests"), (server, client, "answers")):
                if one is not None:
                    thread = threading.Thread(target=self._pass_on, args=(one, other, what), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _pass_on(self, source: socket.socket, target: socket.socket | None, what: str) -> None:
        while True:
            try:
                data = source.recv(65_536)
                if target is None or self.mode in ("swallow", f"no {what}"):
                    if not data:
                        break
                    continue
                if self.mode == "delay":
                    time.sleep(self.delay_s)
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    break
                target.sendall(data)
            except OSError:
                break
        # Both ends are closed with the second direction's thread, or by `drop`.
        with self._lock:
            self._open.discard(source)
        if target is None or target not in self._open:
            source.close()
        else:
            with contextlib.suppress(OSError):
                source.shutdown(socket.SHUT_RD)


def _reset(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RD)
    sock.close()
