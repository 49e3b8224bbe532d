"""Checks of the broker: found, its version, its port, whether it serves, what it tells, what may be changed."""

from __future__ import annotations

import getpass
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from brokertuner_tui.broker.connection import NotAuthorised, NotListening, ProbeError
from brokertuner_tui.broker.external import ExternalBroker
from brokertuner_tui.broker.find import find_mosquitto, how_to_get, probe_version
from brokertuner_tui.broker.kinds import make_broker
from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.broker.ports import holder, is_free
from brokertuner_tui.broker.probe import Probe
from brokertuner_tui.broker.remote.broker import RemoteBroker
from brokertuner_tui.broker.systemd import polkit_rule
from brokertuner_tui.config.settings import BrokerSettings
from brokertuner_tui.connection.policy import POLICIES, ReconnectPolicy
from brokertuner_tui.connection.tracker import ConnectionStatus
from brokertuner_tui.doctor import leftovers
from brokertuner_tui.doctor.finding import Finding, failure, ok, warning
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import Version, defaults
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.telemetry.heartbeat import Heartbeat

_TESTED: tuple[Version, ...] = ((2, 0, 11), (2, 0, 21), (2, 1, 2))
_NEWER_THAN_TESTED: Version = (2, 2, 0)
_NOTHING_TO_TUNE = "there is nothing to tune without it"
_PROBE_S = 3.0
_SYS_S = 6.0
"""Two publications of a Mosquitto 2.0 with `sys_interval 1`; the default interval of 10 s says what is retained at once."""
_RULE_FILE = "/etc/polkit-1/rules.d/50-brokertuner.rules"


def broker(settings: BrokerSettings) -> Iterator[Finding]:
    """The broker of the config, whatever its kind."""
    if settings.kind == "managed":
        yield from _managed(settings)
        return
    # Nothing is written by a broker that is only asked.
    with tempfile.TemporaryDirectory(prefix="brokertuner-doctor-") as folder:
        there = make_broker(settings, Path(folder))
        try:
            if isinstance(there, ExternalBroker):
                yield from _external(there, settings)
            elif isinstance(there, RemoteBroker):
                yield from _remote(there, POLICIES[settings.connection])
        finally:
            there.stop()


# -- our own -----------------------------------------------------------------------------------------------------------


def _managed(settings: BrokerSettings) -> Iterator[Finding]:
    """Tried out in a folder that is deleted again."""
    try:
        program = find_mosquitto(settings.mosquitto)
        version = probe_version(program)
    except TunerError as error:
        command = re.search("`(.+?)`", how_to_get())
        yield failure("mosquitto", str(error), _NOTHING_TO_TUNE, command[1] if command else f"# {how_to_get()}")
        return
    yield from _version(version, str(program))
    if settings.port and not is_free("127.0.0.1", settings.port):
        held = holder(settings.port)
        yield failure(
            "port", str(held or f"port {settings.port} cannot be had"), "the managed broker cannot listen there",
            "# set [broker] port = 0 (a free one), or another",
        )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="brokertuner-doctor-") as folder:
        own = ManagedBroker(
            program, Path(folder), extra_conf=settings.extra_conf, restart_stable_s=settings.broker_restart_stable_sec
        )
        try:
            applied = own.start(defaults(version))
            kept = list(_heartbeat(own.endpoint, POLICIES[settings.connection]))
        except TunerError as error:
            yield failure("broker", str(error), _NOTHING_TO_TUNE, "# see [broker] extra_conf, mosquitto")
        else:
            yield ok("broker", f"starts in {1000 * applied.total_s:.0f} ms, and serves: {', '.join(applied.checks)}")
            yield from kept
        finally:
            own.stop()


def _version(version: Version, what: str) -> Iterator[Finding]:
    text = ".".join(map(str, version))
    if version >= _NEWER_THAN_TESTED:
        tested = ", ".join(".".join(map(str, one)) for one in _TESTED)
        yield warning("mosquitto", f"{text} ({what})", f"newer than what was tested ({tested}): knobs may act in other ways")
    else:
        yield ok("mosquitto", f"{text} ({what})")


# -- one that was there before us --------------------------------------------------------------------------------------


def _external(there: ExternalBroker, settings: BrokerSettings) -> Iterator[Finding]:
    problems = there.problems()
    for problem in problems:
        mend = problem.mend
        if "polkit" in mend:
            yield _no_right(problem.what, settings.unit)
        else:
            runnable = mend.startswith(("sudo ", "echo ", "chmod ", "systemctl "))
            yield failure(
                "broker", problem.what, "the tuner stops before it touches anything", mend if runnable else f"# {mend}"
            )
    if not problems:
        listener = there.facts.listener
        yield ok("broker", f"{there.program} serves at {there.endpoint}; its config includes {there.knob_file.path}")
        yield ok("listener", f"port {listener.port if listener else there.port}")
        yield ok("permissions", f"this user may write {there.knob_file.path}, and reload and restart {there.program}")
    try:
        yield from leftovers.tuner(there.knob_file)
    except TunerError:
        return  # its config cannot be had: that was said above
    try:
        yield from _version(there.version, there.program)
        yield from _told(there.endpoint, POLICIES[settings.connection])
    except TunerError as error:
        yield failure(
            "mosquitto", str(error), "what a knob does depends on the version", "# name the program: --mosquitto PATH"
        )


def _no_right(what: str, unit: str) -> Finding:
    rule = polkit_rule(unit, getpass.getuser())
    return failure(
        "permissions",
        what,
        "knobs come into force by a reload or a restart of the unit; root is not needed for that, one rule is",
        f"sudo tee {_RULE_FILE} <<'EOF'",
        *rule.rstrip("\n").split("\n"),
        "EOF",
    )


def _told(endpoint: Endpoint, policy: ReconnectPolicy) -> Iterator[Finding]:
    """What the broker lets a client know."""
    try:
        with Probe(endpoint, time.monotonic() + _PROBE_S) as probe:
            probe.hello()
            probe.round_trip()
    except NotAuthorised as error:
        yield failure(
            "login", f"{endpoint}: {error}", "probes, $SYS and the load are clients of the broker",
            "# [broker] username, and password_file or the variable BROKERTUNER_BROKER_PASSWORD",
        )  # fmt: skip
        return
    except NotListening as error:
        yield failure("broker", f"{endpoint}: {error}", _NOTHING_TO_TUNE, "# [broker] host and port; or start it")
        return
    except (ProbeError, TunerError) as error:
        yield failure("broker", f"{endpoint}: {error}", _NOTHING_TO_TUNE, "# [broker] host, port, transport, tls, ca_file")
        return
    yield ok("round trip", f"{endpoint} takes a client, a subscription and messages of QoS 0 and 1")
    yield from _heartbeat(endpoint, policy)
    yield from _sys(endpoint, policy)


def _heartbeat(endpoint: Endpoint, policy: ReconnectPolicy) -> Iterator[Finding]:
    """The connection that says whether the broker still answers, kept until one health check was answered."""
    beating = Heartbeat(lambda: endpoint, policy, publishes=False)
    began = time.monotonic()
    beating.start()
    try:
        up = _within(policy.connect_timeout_s, lambda: beating.status().state.usable)
        connected_s, first = time.monotonic() - began, beating.status().last_heartbeat
        beats = up and _within(policy.heartbeat_timeout_s, lambda: beating.status().last_heartbeat != first)
        tried, status = _tried(beating.status(), began), beating.status()
    finally:
        beating.stop()
    if beats:
        after = f"asked every {policy.heartbeat_s:g} s, dead after {policy.heartbeat_timeout_s:g} s of silence"
        yield ok("heartbeat", f"connected in {1000 * connected_s:.0f} ms, {tried}; {after}")
        return
    yield warning(
        "heartbeat",
        f"{endpoint}: {status.last_error or 'no answer to a PINGREQ'}, {tried}",
        "a broker that hangs is not told from one that runs",
        "# [broker] host, port, connection",
    )


def _sys(endpoint: Endpoint, policy: ReconnectPolicy) -> Iterator[Finding]:
    from brokertuner_tui.telemetry.sys_topics import SysTopics  # paho takes a while to import

    topics = SysTopics(endpoint, policy)
    began = time.monotonic()
    topics.start()
    try:
        come = _within(_SYS_S, lambda: bool(topics.read().version))
        rates, tried = topics.read(), _tried(topics.status(), began)
    finally:
        topics.stop()
    if come:
        yield ok("$SYS", f"on: {rates.version}, {rates.clients_connected} clients, up {rates.uptime_s} s; {tried}")
        return
    yield warning(
        "$SYS",
        f"{rates.reason or 'nothing comes'}; {tried}",
        "rates, clients and heap are not shown, and under live traffic rewards come from the probe alone",
        "# in mosquitto.conf: sys_interval 10; in an ACL file, for this user: topic read $SYS/#",
    )


def _tried(status: ConnectionStatus, began: float) -> str:
    attempts = f"{status.attempts_total} attempt" + ("" if status.attempts_total == 1 else "s")
    return f"{attempts} in {time.monotonic() - began:.1f} s"


def _within(seconds: float, done: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() >= end:
            return False
        time.sleep(0.02)
    return True


# -- an agent's --------------------------------------------------------------------------------------------------------


def _remote(there: RemoteBroker, policy: ReconnectPolicy) -> Iterator[Finding]:
    why, began = "the broker is reached through it", time.monotonic()
    try:
        version = there.version
    except TunerError as error:
        yield failure(
            "agent", str(error), why, "# on the broker's host: systemctl status brokertuner-tui; brokertuner-tui doctor"
        )
        return
    link = there.connection
    beat = "none yet" if link.last_heartbeat is None else f"{max(0.0, time.time() - link.last_heartbeat):.1f} s ago"
    yield ok("agent", f"{there.program}: {link.state}, {_tried(link, began)}, last heartbeat {beat}")
    yield from _version(version, f"at {there.program}")
    yield from _told(there.endpoint, policy)
