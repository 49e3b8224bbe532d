"""A load made by emqtt_bench, for those who have it and trust its figures.

It can say less than the built-in load, and the windows show it:

- Latency is known in whole milliseconds and in its histogram's buckets (1, 5, 10, 25, 50, 100, 500, 1,000 ms ...), read
  from its Prometheus endpoint. A message counts as on time when it lies in a bucket that ends at or below the SLO: with an
  SLO of 20 ms, those that took up to 10 ms. Without the endpoint nothing counts as on time, and the status says so.
- Lost and duplicated messages are not known (its `cnt64` header ends a subscriber at the first gap): 0 and 0. `missing` is
  what was sent and not received, messages under way included.
- It has no client round trip, bursts or absent subscribers, and sends at most 1,000 messages a second per publisher, at
  intervals of whole milliseconds; profiles that ask for more are refused.
- It gets a user name, but neither password (it takes one on its command line only, where everybody on the machine could read
  it) nor TLS (it does not check who the broker is) nor WebSocket; such brokers are refused.
- It does not come back after a restart of the broker (its processes stay, without clients), so it is started again then,
  which takes a second or two.

Options and output as in emqtt-bench 0.6.2.
"""

from __future__ import annotations

import secrets
import shutil
import socket
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from brokertuner_tui.errors import ConfigError
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.process.child import ENDED_BY_OTHERS, Child
from brokertuner_tui.process.identity import is_halted
from brokertuner_tui.workload import limits
from brokertuner_tui.workload.emqtt_output import Metrics, Output, parse_metrics
from brokertuner_tui.workload.load import LoadError, LoadImpossible, LoadStatus
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.window import Window

_TIME_HEADER_BYTES = 8
_MOST_TOPICS = 8
_POLL_S = 0.05
_HTTP_S = 2.0
_BEYOND_MS = 60_000.0
"""Stands for the end of the last bucket."""


@dataclass(frozen=True, slots=True)
class Group:
    """Clients of one kind that one process makes."""

    kind: str
    """`sub` or `pub`."""
    count: int
    topic: str


def groups_of(profile: Profile, prefix: str) -> list[Group]:
    """The processes that make `profile`: one pair where topics allow it, else one pair a topic.

    Raises:
        LoadError: emqtt_bench cannot make this profile; the message names the key.
    """
    _refuse(profile)
    if profile.topics == 1:
        topics, name = [(profile.subscribers, profile.publishers)], f"{prefix}/0"
        return _pairs(topics, [name])
    if profile.topics == profile.publishers == profile.subscribers:
        return _pairs([(profile.subscribers, profile.publishers)], [f"{prefix}/%i"])
    if profile.topics > _MOST_TOPICS:
        raise LoadImpossible(
            f"emqtt_bench cannot make workload {profile.name}: topics = {profile.topics}: 1, at most {_MOST_TOPICS}, "
            "or as many as publishers and subscribers"
        )
    counts = [
        tuple(len(range(topic, clients, profile.topics)) for clients in (profile.subscribers, profile.publishers))
        for topic in range(profile.topics)
    ]
    return _pairs([(subs, pubs) for subs, pubs in counts], [f"{prefix}/{topic}" for topic in range(profile.topics)])


def _pairs(counts: Sequence[tuple[int, int]], names: Sequence[str]) -> list[Group]:
    subscribers = [Group("sub", subs, name) for (subs, _), name in zip(counts, names, strict=True) if subs]
    return subscribers + [Group("pub", pubs, name) for (_, pubs), name in zip(counts, names, strict=True) if pubs]


def _refuse(profile: Profile) -> None:
    if profile.parts:
        names = ", ".join(part.name for part in profile.parts)
        raise LoadImpossible(
            f"emqtt_bench cannot make workload {profile.name}: it is a mix ({names}), for the built-in load only"
        )
    wishes = {
        "client_rtt_ms": profile.client_rtt_ms > 0,
        "burst": profile.burst is not None,
        "offline_subscribers": profile.offline_subscribers > 0,
        "connects": profile.connects > 0,
    }
    wished = [key for key, wish in wishes.items() if wish]
    if wished:
        raise LoadImpossible(f"emqtt_bench cannot make workload {profile.name}: it has no {', '.join(wished)}")
    if profile.rate > 1000 * profile.publishers:
        raise LoadImpossible(
            f"emqtt_bench cannot make workload {profile.name}: rate = {profile.rate:g}: "
            f"at most 1,000 for each of its {profile.publishers} publishers"
        )


def _refuse_login(endpoint: Endpoint) -> None:
    if endpoint.username is not None or endpoint.password is not None:
        raise LoadImpossible(
            "emqtt_bench takes a password on its command line only, where everybody can read it: use the built-in load"
        )
    if endpoint.tls is not None or endpoint.transport != "tcp":
        raise LoadImpossible(f"emqtt_bench is only used on plain TCP, not for {endpoint}: use the built-in load")


def check(endpoint: Endpoint) -> None:
    """Refuses a broker that emqtt_bench cannot get into as safely as we do.

    Raises:
        ConfigError: it cannot.
    """
    if endpoint.password is not None:
        wants = "a password, which emqtt_bench takes on its command line only, for everybody to read"
    elif endpoint.tls is not None:
        wants = "TLS, and emqtt_bench does not check whose certificate it is"
    elif endpoint.transport == "websockets":
        wants = "WebSocket, which is left to the built-in load"
    else:
        return
    raise ConfigError("the load", "generator", "emqtt_bench", f"the broker {endpoint} wants {wants}; use builtin")


def interval_ms(profile: Profile) -> int:
    """Whole milliseconds between two messages of one publisher; 0 in a closed loop."""
    return max(1, round(1000 * profile.publishers / profile.rate)) if profile.rate > 0 else 0


def arguments(profile: Profile, group: Group, endpoint: Endpoint, name: str, metrics_port: int) -> list[str]:
    """emqtt_bench's command line for one process, without the program."""
    common = ["-h", endpoint.host, "-p", str(endpoint.port), "-V", str(profile.protocol), "-c", str(group.count), "-i", "1"]
    common += ["-t", group.topic, "-q", str(profile.qos), "--prefix", name]
    if endpoint.username is not None:
        common += ["-u", endpoint.username]
    common += ["--payload-hdrs", "ts", "--prometheus", "--restapi", f"127.0.0.1:{metrics_port}"]
    if group.kind == "sub":
        session = [] if profile.clean_session else ["-C", "false", "-x", "3600"]
        return ["sub", *common, *session]
    size = max(1, profile.payload_bytes - _TIME_HEADER_BYTES)  # the header comes on top of the size
    # Without -F it has one message under way; without -w it begins before all are connected.
    return ["pub", *common, "-s", str(size), "-I", str(interval_ms(profile)), "-F", str(profile.window), "-w"]


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


@dataclass(frozen=True, slots=True)
class _Snapshot:
    taken_at: float
    sent: int
    received: int
    cpu_s: float
    metrics: Metrics | None
    """Of the subscribers."""


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
        self._opened: _Snapshot | None = None
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
            _refuse_login(endpoint)
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
        window = _window(self._profile, self._opened, closed, self.status().connected)
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

    def _snapshot(self) -> _Snapshot:
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
        return _Snapshot(time.monotonic(), sent, received, cpu_s, subscribers if known else None)


def _sent(counters: Mapping[str, int], profile: Profile | None) -> int:
    """Messages that publishers sent: `pub`, which 0.6.1 and 0.6.2 increment twice for each message of QoS 0."""
    count = counters.get("pub", 0)
    return count // 2 if profile is not None and profile.qos == 0 else count


def _window(profile: Profile, opened: _Snapshot, closed: _Snapshot, clients: int) -> Window:
    seconds = closed.taken_at - opened.taken_at
    sent, received = closed.sent - opened.sent, closed.received - opened.received
    expected = round(sent * profile.fan_out)
    buckets: list[tuple[float, int]] = []
    on_time = 0
    if opened.metrics is not None and closed.metrics is not None:
        within = (closed.metrics - opened.metrics).within_ms
        below = 0
        for bound in sorted(within):
            count = max(0, within[bound] - below)
            below = max(below, within[bound])
            if count:
                buckets.append((min(bound, _BEYOND_MS), count))
            if bound <= profile.slo_ms:
                on_time = below
    on_time = min(on_time, received)
    p50, p90, p95, p99 = (_percentile(buckets, share) for share in (0.5, 0.9, 0.95, 0.99))
    return Window(
        seconds=seconds,
        sent=sent,
        expected=expected,
        received=received,
        on_time=on_time,
        late=received - on_time,
        lost=0,
        missing=max(0, expected - received),
        duplicated=0,
        p50_ms=p50,
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99,
        max_ms=buckets[-1][0] if buckets else 0.0,
        histogram=tuple(buckets),
        on_time_slices=(on_time,),
        slice_s=seconds,
        clients=clients,
        reconnects=0,
        generator_cpu=max(0.0, closed.cpu_s - opened.cpu_s) / max(seconds, 1e-9),
    )


def _percentile(buckets: Sequence[tuple[float, int]], share: float) -> float:
    """The end of the bucket in which the percentile lies: it is at most that."""
    left = share * sum(count for _, count in buckets)
    for bound, count in buckets:
        left -= count
        if left <= 0:
            return bound
    return buckets[-1][0] if buckets else 0.0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
