"""The built-in load as the tuner sees it: starts the generator's process, and speaks with it over a socket pair."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.mqtt.tls import client_context
from brokertuner_tui.process.child import ENDED_BY_OTHERS, Child
from brokertuner_tui.process.identity import is_halted
from brokertuner_tui.process.python import environment
from brokertuner_tui.workload import limits
from brokertuner_tui.workload.generator.control import objects
from brokertuner_tui.workload.load import LoadError, LoadStatus
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.window import Window, so_far

TOPIC_PREFIX = "bt"
_ANSWER_S = 2.0
_START_S = 10.0
_HUNG_S = 3.0
"""Without a report for this long, it counts as dead (it reports four times a second)."""


class BuiltinLoad:
    """A `Load` (see there) made by `workload.generator` in a process of its own.

    Args:
        log_dir: where the process writes its log (nothing, normally).
        topic_prefix: what the names of its topics begin with.
        late_acks: see `generator.link.Peer`.
    """

    def __init__(self, log_dir: Path, topic_prefix: str = TOPIC_PREFIX, *, late_acks: bool = False) -> None:
        self._log_path = log_dir / "generator.log"
        self._topic_prefix, self._late_acks = topic_prefix, late_acks
        # Names of clients and topics: one generator that takes another's place takes over its sessions.
        self.token = secrets.token_hex(4)
        self._child: Child | None = None
        self._sock: socket.socket | None = None
        self._lock = threading.Condition()
        self._answers: dict[int, dict[str, Any]] = {}
        self._abandoned: set[int] = set()
        self._last_id = 0
        self._report: dict[str, Any] = {}
        self._heard_at = 0.0
        self._closed = True
        self._profile: Profile | None = None
        self._endpoint: Endpoint | None = None
        self._error = ""

    def start(self, profile: Profile, endpoint: Endpoint) -> None:
        """See `Load`.

        Raises:
            ConfigError: the profile asks for something that cannot be made.
            TlsFileError: a certificate or key cannot be used.
        """
        limits.check(profile, f"workload {profile.name}")
        if endpoint.tls is not None:
            client_context(endpoint.tls)
        self.stop()
        self._endpoint, self._profile, self._error = endpoint, profile, ""
        ours, theirs = socket.socketpair()
        try:
            self._log_path.parent.mkdir(parents=True, exist_ok=True)
            with theirs:
                child = Child(
                    [sys.executable, "-P", "-m", "brokertuner_tui.workload.generator", str(theirs.fileno())],
                    log_path=self._log_path,
                    env=environment(),
                    pass_fds=(theirs.fileno(),),
                )
        except OSError as error:
            ours.close()
            self._error = f"the load generator cannot be started: {error}"
            raise LoadError(self._error) from error
        with self._lock:
            self._child, self._sock = child, ours
            self._answers.clear()
            self._abandoned.clear()
            self._report, self._heard_at = {}, time.monotonic()
            self._closed = False
        threading.Thread(target=self._read, args=(ours,), name="load-reader", daemon=True).start()
        try:
            # Who we are goes over the socket, not on the command line, where every user could read it.
            more: dict[str, Any] = {"token": self.token, "prefix": self._topic_prefix, "late_acks": self._late_acks}
            self._ask("start", _START_S, profile=profile.as_dict(), endpoint=endpoint.as_dict(), **more)
        except LoadError as error:
            self.stop()
            self._error = str(error)
            raise

    def restart(self) -> None:
        """See `Load`."""
        if self._endpoint is None or self._profile is None:
            raise LoadError("the load was never started")
        self.start(self._profile, self._endpoint)

    def change(self, profile: Profile) -> None:
        """See `Load`.

        Raises:
            ConfigError: the profile asks for something that cannot be made.
        """
        limits.check(profile, f"workload {profile.name}")
        with self._lock:
            self._profile = profile
        self._ask("change", _ANSWER_S, profile=profile.as_dict())

    def wait_ready(self, deadline_s: float, cancelled: Callable[[], bool] = lambda: False) -> float:
        """See `Load`; also ends, with a LoadError, when `cancelled` says so, or when the broker does not let us in."""
        began = time.monotonic()
        try:
            refused = self._ask("ready", deadline_s, cancelled=cancelled).get("refused")
        except LoadError as error:
            status = self.status()
            if status.state == "dead" or cancelled():
                raise
            reason = f": {status.error}" if status.error else ""
            raise LoadError(
                f"{status.connected} of {status.wanted} clients of the load are connected after {deadline_s:g} s{reason}"
            ) from error
        if refused is not None:
            status = self.status()
            raise LoadError(f"{status.connected} of {status.wanted} clients of the load are connected: {refused}")
        return time.monotonic() - began

    def expect_restart(self) -> None:
        """See `Load`."""
        with contextlib.suppress(LoadError):  # the supervisor will find out
            self._ask("expect_restart", _ANSWER_S)

    def open_window(self) -> None:
        """See `Load`."""
        self._ask("open", _ANSWER_S)

    def close_window(self, drain_s: float = 0.0) -> Window:
        """See `Load`."""
        return Window.from_dict(self._ask("close", drain_s + _ANSWER_S, drain_s=drain_s)["window"])

    def status(self) -> LoadStatus:
        """See `Load`; a process that has not reported for 3 s is `dead`, with the error saying that it hangs."""
        with self._lock:
            child, report, profile, error = self._child, dict(self._report), self._profile, self._error
            silent_s = time.monotonic() - self._heard_at
        state, outside = str(report.get("state", "starting")), False
        if child is None:
            state = "stopped"
        elif (code := child.exit_code()) is not None:
            state, error = "dead", f"the load generator ended {_how(code)}{_last_words(self._log_path)}"
            outside = code in ENDED_BY_OTHERS
        elif silent_s > _HUNG_S:
            state, error = "dead", f"the load generator (PID {child.pid}) has not reported for {silent_s:.0f} s"
            outside = is_halted(child.pid)
        return LoadStatus(
            state=state,
            pid=child.pid if child is not None else None,
            profile=profile,
            connected=int(report.get("connected", 0)) if state not in ("dead", "stopped") else 0,
            wanted=profile.clients if profile is not None else 0,
            reconnects=int(report.get("reconnects", 0)),
            sent_total=int(report.get("sent", 0)),
            received_total=int(report.get("received", 0)),
            on_time_total=int(report.get("on_time", 0)),
            generator_cpu=float(report.get("cpu", 0.0)),
            error=error or str(report.get("error", "")),
            latency_ms=tuple(latency) if (latency := report.get("latency_ms")) else None,
            outside=outside,
            window=so_far(window) if (window := report.get("window")) else None,
        )

    def stop(self) -> None:
        """See `Load`."""
        with self._lock:
            child, sock, closed = self._child, self._sock, self._closed
        if child is None:
            return
        if not closed and child.exit_code() is None and time.monotonic() - self._heard_at < _HUNG_S:
            with contextlib.suppress(LoadError):
                self._ask("stop", _ANSWER_S)
                child.wait(0.5)
        child.stop(1.0)
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # ends the reader
            sock.close()
        with self._lock:
            self._child = self._sock = None
            self._closed = True

    def _ask(
        self, command: str, timeout_s: float, *, cancelled: Callable[[], bool] = lambda: False, **fields: Any
    ) -> dict[str, Any]:
        """Sends a command and waits for its answer.

        Raises:
            LoadError: it refused, died, or did not answer in time.
        """
        with self._lock:
            child, sock = self._child, self._sock
            if child is None or sock is None:
                raise LoadError("no load is running")
            self._last_id += 1
            number = self._last_id
        try:
            sock.sendall(json.dumps({"cmd": command, "id": number} | fields).encode() + b"\n")
        except OSError:
            raise self._dead(child) from None
        deadline = time.monotonic() + timeout_s
        with self._lock:
            while number not in self._answers:
                left = deadline - time.monotonic()
                if self._closed:
                    break
                if left <= 0 or cancelled():
                    self._abandoned.add(number)
                    why = "was cancelled" if left > 0 else f"did not answer {command!r} within {timeout_s:g} s"
                    raise LoadError(f"the load generator {why}")
                self._lock.wait(min(left, 0.05))
            answer = self._answers.pop(number, None)
        if answer is None:
            raise self._dead(child)
        if "error" in answer:
            raise LoadError(f"the load generator cannot {command}: {answer['error']}")
        return answer

    def _dead(self, child: Child) -> LoadError:
        code = child.wait(1.0)
        how = _how(code) if code is not None else "closed its socket"
        return LoadError(f"the load generator ended {how}{_last_words(self._log_path)}")

    def _read(self, sock: socket.socket) -> None:
        """The reader thread: takes in answers and reports until the other end closes."""
        rest = b""
        while True:
            try:
                data = sock.recv(1 << 20)
            except OSError:
                data = b""
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            messages = objects(lines)
            with self._lock:
                if sock is not self._sock:
                    return
                self._heard_at = time.monotonic()
                for message in messages:
                    number = message.get("re")
                    if isinstance(report := message.get("report"), dict):
                        self._report = report
                    elif not isinstance(number, int):
                        continue
                    elif number in self._abandoned:
                        self._abandoned.discard(number)
                    else:
                        self._answers[number] = message
                self._lock.notify_all()
        with self._lock:
            if sock is self._sock:
                self._closed = True
                self._lock.notify_all()


def _how(code: int) -> str:
    return f"by signal {-code}" if code < 0 else f"with exit code {code}"


def _last_words(log_path: Path) -> str:
    """The last line of the log, where an exception's message is."""
    try:
        lines = log_path.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return f": {lines[-1]}" if lines else ""
