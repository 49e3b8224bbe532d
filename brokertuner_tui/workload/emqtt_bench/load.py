"""A `Load` made by emqtt_bench's processes."""

from __future__ import annotations

import secrets
import shutil
import socket
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.process.child import ENDED_BY_OTHERS, Child
from brokertuner_tui.process.identity import is_halted
from brokertuner_tui.workload import limits
from brokertuner_tui.workload.emqtt_bench.command import Group, arguments, check, groups_of
from brokertuner_tui.workload.emqtt_bench.output import Metrics, Output, parse_metrics
from brokertuner_tui.workload.emqtt_bench.window import Snapshot, window_between
from brokertuner_tui.workload.load import LoadError, LoadImpossible, LoadStatus
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.window import Window

_POLL_S = 0.05
_HTTP_S = 2.0


@dataclass(slots=True)
class _Part:
    """One process."""

    group: Group
    child: Child
    output: Output
    metrics_port: int

    def metrics(self) -> Metrics | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=_HTTP_S) as answer:
                return parse_metrics(answer.read().decode(errors="replace"))
        except (OSError, ValueError):
            return None

    def cpu_s(self) -> float:
        """CPU seconds that the process has used."""
        try:
            times = psutil.Process(self.child.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system)

    @property
    def connected(self) -> int:
        counters = self.output.counters
        made = counters.get("sub" if self.group.kind == "sub" else "connect_succ", 0)
        return max(0, min(self.group.count, made) - self.output.lost)


class EmqttBenchLoad:
    """A `Load` (see there) made by emqtt_bench.

    Args:
        log_dir: where its output goes, and is read from.
        program: emqtt_bench, where it is not on the path.
    """

    def __init__(self, log_dir: Path, program: str | Path = "emqtt_bench") -> None:
        self._log_dir, self._program = log_dir, str(program)
        self._parts: list[_Part] = []
        self._profile: Profile | None = None
        self._endpoint: Endpoint | None = None
        self._opened: Snapshot | None = None
        self._restart_expected = False
        self._reconnects = 0
        self._on_time_total = 0
        self._before = [0, 0]
        """Sent and received by processes that are gone."""
        self._error = ""

    def start(self, profile: Profile, endpoint: Endpoint) -> None:
        """See `Load`.

        Raises:
            LoadError: also when emqtt_bench cannot make this profile.
            ConfigError: it cannot get into this broker.
        """
        check(endpoint)
        self.stop()
        self._profile, self._endpoint, self._error = profile, endpoint, ""
        try:
            self._launch(profile, endpoint)
        except LoadError as error:
            self.stop()
            self._error = str(error)
            raise

    def _launch(self, profile: Profile, endpoint: Endpoint) -> None:
        limits.check(profile, f"workload {profile.name}")
        program = shutil.which(self._program)
        if program is None:
            raise LoadImpossible(
                f"{self._program} is not installed (see github.com/emqx/emqtt-bench), or use the built-in load"
            )
        token = secrets.token_hex(3)
        for number, group in enumerate(groups_of(profile, f"bt/{token}")):
            log_path = self._log_dir / f"emqtt_bench-{group.kind}-{number}.log"
            metrics_port = _free_port()
            options = arguments(profile, group, endpoint, f"bt-{token}-{group.kind}{number}", metrics_port)
            try:
                self._log_dir.mkdir(parents=True, exist_ok=True)
                offset = log_path.stat().st_size if log_path.exists() else 0
                child = Child([program, *options], log_path=log_path)
            except OSError as error:
                raise LoadError(f"{program} cannot be started: {error}") from error
            self._parts.append(_Part(group, child, Output(log_path, offset), metrics_port))
        self._restart_expected = False

    def restart(self) -> None:
        """See `Load`."""
        if self._profile is None or self._endpoint is None:
            raise LoadError("the load was never started")
        self.start(self._profile, self._endpoint)

    def change(self, profile: Profile) -> None:
        """See `Load`; other processes take over."""
        if self._endpoint is None:
            raise LoadError("the load was never started")
        self.start(profile, self._endpoint)

    def wait_ready(self, deadline_s: float, cancelled: Callable[[], bool] = lambda: False) -> float:
        """See `Load`. After a restart of the broker this starts other processes, because the old ones have no clients left."""
        began = time.monotonic()
        if self._restart_expected or self.status().state == "reconnecting":
            self._reconnects += self._profile.clients if self._profile else 0
            self.restart()
        while True:
            status = self.status()
            if status.state in ("dead", "stopped"):
                raise LoadError(status.error or "no load is running")
            if status.connected == status.wanted:
                return time.monotonic() - began
            if cancelled() or time.monotonic() - began > deadline_s:
                why = "cancelled" if cancelled() else f"not within {deadline_s:g} s"
                reason = f": {status.error}" if status.error else ""
                raise LoadError(f"{status.connected} of {status.wanted} clients of emqtt_bench are connected ({why}){reason}")
            time.sleep(_POLL_S)

    def expect_restart(self) -> None:
        """See `Load`; the next `wait_ready` starts other processes."""
        self._restart_expected = bool(self._parts)

    def open_window(self) -> None:
        """See `Load`."""
        self._opened = self._snapshot()

    def close_window(self, drain_s: float = 0.0) -> Window:
        """See `Load`; emqtt_bench cannot be told to stop sending, so a drain makes the window longer, and that is all."""
        if self._opened is None or self._profile is None:
            raise LoadError("no window is open")
        if drain_s > 0:
            time.sleep(drain_s)
        closed = self._snapshot()
        window = window_between(self._profile, self._opened, closed, self.status().connected)
        self._opened = None
        self._on_time_total += window.on_time
        return window

    def status(self) -> LoadStatus:
        """See `Load`. That it hangs can be told of a stopped process only: it prints nothing when nothing changes."""
        profile, parts = self._profile, self._parts
        sent, received = self._before
        trouble = self._error
        for part in parts:
            part.output.read()
            sent += _sent(part.output.counters, profile) if part.group.kind == "pub" else 0
            received += part.output.counters.get("recv", 0)
            trouble = part.output.trouble or trouble
        wanted = profile.clients if profile is not None else 0
        connected = sum(part.connected for part in parts)
        ended = [(part, code) for part in parts if (code := part.child.exit_code()) is not None]
        state, outside = "running" if connected == wanted else "starting", False
        if not parts:
            state = "stopped"
        elif ended:
            part, code = ended[0]
            outside = code in ENDED_BY_OTHERS
            state, trouble = "dead", f"emqtt_bench {part.group.kind} ended with exit code {code}. {trouble}".strip()
        elif halted := next((part.child.pid for part in parts if is_halted(part.child.pid)), None):
            state, trouble, outside = "dead", f"emqtt_bench (PID {halted}) hangs: somebody has stopped it by a signal", True
        elif any(part.output.lost for part in parts):
            state = "reconnecting"
        return LoadStatus(
            state=state,
            pid=parts[0].child.pid if parts else None,
            profile=profile,
            connected=connected,
            wanted=wanted,
            reconnects=self._reconnects,
            sent_total=sent,
            received_total=received,
            on_time_total=self._on_time_total,
            generator_cpu=0.0,
            error=trouble,
            outside=outside,
        )

    def stop(self) -> None:
        """See `Load`."""
        if self._parts:
            status = self.status()
            self._before = [status.sent_total, status.received_total]
        for part in reversed(self._parts):
            part.child.stop(2.0)
        self._parts = []
        self._opened = None

    def _snapshot(self) -> Snapshot:
        status = self.status()
        if status.state in ("dead", "stopped"):
            raise LoadError(status.error or "no load is running")
        sent, received, subscribers = 0, 0, Metrics()
        known = True
        for part in self._parts:
            metrics = part.metrics()
            counters = metrics.counters if metrics is not None else part.output.counters
            if part.group.kind == "pub":
                sent += _sent(counters, self._profile)
                continue
            received += counters.get("recv", 0)
            known = known and metrics is not None
            subscribers = subscribers + (metrics or Metrics())
        if not known:
            self._error = "emqtt_bench gives no latencies (no Prometheus endpoint): nothing counts as on time"
        cpu_s = sum(part.cpu_s() for part in self._parts)
        return Snapshot(time.monotonic(), sent, received, cpu_s, subscribers if known else None)


def _sent(counters: Mapping[str, int], profile: Profile | None) -> int:
    """Messages that publishers sent: `pub`, which 0.6.1 and 0.6.2 increment twice for each message of QoS 0."""
    count = counters.get("pub", 0)
    return count // 2 if profile is not None and profile.qos == 0 else count


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
