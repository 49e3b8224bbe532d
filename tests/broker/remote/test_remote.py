"""A broker through an agent, as if it were local."""

from __future__ import annotations

import dataclasses
import http.server
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brokertuner_tui import __version__
from brokertuner_tui.broker.interface import ApplyFailed
from brokertuner_tui.broker.kinds import make_broker
from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.broker.remote.broker import RemoteBroker
from brokertuner_tui.config.settings import BrokerSettings
from brokertuner_tui.connection.http import Untrusted
from brokertuner_tui.connection.link import AgentLink, Refused
from brokertuner_tui.connection.policy import POLICIES
from brokertuner_tui.connection.target import AgentTarget, make_target
from brokertuner_tui.errors import ConnectionFailed, TunerError, UsageError
from brokertuner_tui.knobs.catalogue import NAMES, defaults
from tests.agents import Agent
from tests.broker.remote.conftest import Connect
from tests.broker.secure import Authority
from tests.waiting import eventually


def test_it_is_what_the_agent_says_and_changes_as_a_local_one(connect: Connect, agent: Agent, tmp_path: Path) -> None:
    broker = connect(agent.url)
    assert broker.version == (2, 0, 21) or broker.version[0] == 2
    assert broker.program == agent.url
    assert broker.baseline == defaults(broker.version)
    started = broker.start(broker.baseline)
    assert started.how == "none"
    assert broker.endpoint.host == "127.0.0.1"
    first = broker.status()
    assert first.state == "listening"
    assert set(first.knobs or ()) == set(NAMES)

    applied = broker.apply({**broker.baseline, "set_tcp_nodelay": True})
    assert applied.how == "restart"
    assert applied.pid != started.pid
    assert any(check.startswith("CONNACK") for check in applied.checks)
    status = broker.status()
    assert (status.knobs or {})["set_tcp_nodelay"] is True, "known at once, not only after a heartbeat"
    assert status.pid == applied.pid
    assert eventually(lambda: (told := broker.told()) is not None and told.process.pid == applied.pid)
    assert broker.status().restarts == 1
    assert broker.status().knobs == applied.knobs

    local = ManagedBroker(Path(_mosquitto(agent)), tmp_path / "local")
    try:
        local.start(local.baseline)
        by_itself = local.apply({**local.baseline, "set_tcp_nodelay": True})
    finally:
        local.stop()
    assert (by_itself.how, by_itself.changed) == (applied.how, applied.changed)
    assert len(by_itself.checks) == len(applied.checks)

    again = broker.restart()
    assert again.how == "restart"
    assert again.knobs == applied.knobs


def test_what_the_broker_refuses_is_told_in_its_own_words_and_put_back(connect: Connect, agent: Agent) -> None:
    broker = connect(agent.url)
    good = broker.start(broker.baseline).knobs
    with pytest.raises(UsageError, match="max_inflight_messages"):
        broker.apply({**broker.baseline, "max_inflight_messages": 70_000})
    with pytest.raises(ApplyFailed, match="memory_limit") as failed:
        broker.apply({**broker.baseline, "memory_limit": 1000})
    assert failed.value.restored is not None
    assert failed.value.restored.knobs == good
    assert broker.status().knobs == good
    assert broker.alive()


def test_a_broker_that_dies_is_back_by_the_agents_own_doing(connect: Connect, agent: Agent) -> None:
    broker = connect(agent.url)
    pid = broker.start(broker.baseline).pid
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: broker.alive() and broker.status().pid not in (None, pid))
    assert broker.status().knobs == broker.baseline


def test_a_broker_that_does_not_come_back_is_seen_and_brought_back(connect: Connect, agent: Agent, broken: Path) -> None:
    broker = connect(agent.url)
    pid = broker.start(broker.baseline).pid
    broken.touch()
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not broker.alive())
    assert eventually(lambda: "exit code 7" in broker.status().error), broker.status()
    broken.unlink()
    brought_back = broker.restart()
    assert broker.alive(), "an older sample does not make it dead again"
    assert brought_back.pid != pid
    for _ in range(40):
        assert broker.alive()
        time.sleep(0.02)


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("agent:8080", "must be like https"),
        ("ftp://agent:8080", "must be like https"),
        ("https://agent:808000", "must be like https"),
        ("https://agent:8080/api", "must be like https"),
        ("https://me:secret@agent:8080", "must be like https"),
        ("http://agent.example:8080", "must be https"),
        ("http://192.0.2.1:8080", "must be https"),
        (None, "broker.url is not set"),
    ],
)
def test_urls_that_are_none(url: str | None, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says) as error:
        make_target(url, _token(tmp_path))
    assert "\n" not in str(error.value)


def test_token_files_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="token_file is not set"):
        make_target("http://127.0.0.1:1", None)
    token = _token(tmp_path)
    token.chmod(0o644)
    with pytest.raises(UsageError, match=f"{token}.*others"):
        make_target("http://127.0.0.1:1", token)
    token.chmod(0o600)
    assert make_target("http://127.0.0.1:1", token).token == "a" * 32
    token.write_text("")
    with pytest.raises(UsageError, match=str(token)):
        make_target("http://127.0.0.1:1", token)
    token.write_text("two words\n")
    with pytest.raises(UsageError, match="holds no token"):
        make_target("http://127.0.0.1:1", token)
    with pytest.raises(UsageError, match="nothing-here"):
        make_target("http://127.0.0.1:1", tmp_path / "nothing-here")


def test_a_token_that_is_not_the_agents_is_refused_at_once_and_shown_nowhere(agent: Agent, tmp_path: Path) -> None:
    link = AgentLink(make_target(agent.url, _token(tmp_path)), POLICIES["default"])
    with pytest.raises(Refused, match="does not know the token") as error:
        link.open()
    assert "a" * 32 not in str(error.value)
    assert "a" * 32 not in repr(link.target)
    assert link.connection.attempts_total == 1


def test_an_agent_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    settings = BrokerSettings(kind="remote", url="http://127.0.0.1:1", token_file=_token(tmp_path))
    broker = make_broker(settings, tmp_path)
    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(ConnectionFailed, match=r"http://127.0.0.1:1 cannot be reached: Connection refused"):
            _ = broker.version
    assert time.monotonic() - began < 5
    broker.stop()


class _Stranger(http.server.BaseHTTPRequestHandler):
    version = ""

    def do_GET(self) -> None:
        body = json.dumps({"hello": 1}).encode()
        self.send_response(200)
        if self.version:
            self.send_header("X-Brokertuner-Version", self.version)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def stranger() -> Iterator[tuple[type[_Stranger], str]]:
    handler = type("Handler", (_Stranger,), {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_another_version_or_another_program_is_named_and_not_tried_again(
    stranger: tuple[type[_Stranger], str], tmp_path: Path
) -> None:
    handler, url = stranger
    target = make_target(url, _token(tmp_path))
    handler.version = "99.3.1"
    with pytest.raises(Refused, match=r"version 99\.3\.1.*version " + __version__.replace(".", r"\.")):
        AgentLink(target, POLICIES["default"]).open()
    handler.version = ""
    with pytest.raises(Refused, match="no brokertuner-tui agent"):
        AgentLink(target, POLICIES["default"]).open()
    handler.version = ".".join([*__version__.split(".")[:2], "999"])
    link = AgentLink(target, POLICIES["default"])
    assert link.open() == {"hello": 1}, "another patch level is fine"
    link.close()


def test_tls_is_checked_both_ways(mosquitto_2_0_21: Path, tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    good = ours.issue("good", names=("127.0.0.1",))
    more = ("--allow-changes", "--tls-cert", str(good.cert_file), "--tls-key", str(good.key_file))
    agent = Agent(tmp_path / "agent", mosquitto_2_0_21, more=more).start()
    try:
        assert agent.url.startswith("https://")
        link = AgentLink(make_target(agent.url, agent.token_file, ours.ca_file), POLICIES["default"])
        assert link.open()["allow_changes"] is True
        assert eventually(lambda: link.reading is not None)
        link.close()
        with pytest.raises(Untrusted, match="certificate does not match"):
            AgentLink(make_target(agent.url, agent.token_file, theirs.ca_file), POLICIES["default"]).open()
        named = f"https://localhost:{agent.port}"
        with pytest.raises(Untrusted, match=r"certificate does not match.*localhost"):
            AgentLink(make_target(named, agent.token_file, ours.ca_file), POLICIES["default"]).open()
    finally:
        agent.stop()
    not_a_ca = _token(tmp_path)
    with pytest.raises(UsageError, match=str(not_a_ca)):
        AgentLink(make_target("https://127.0.0.1:1", not_a_ca, not_a_ca), POLICIES["default"])


def test_clients_use_the_agents_host_where_its_broker_says_loopback() -> None:
    target = AgentTarget("https", "far.example", 8080, "t")
    for host, expected in (("127.0.0.1", "far.example"), ("10.1.2.3", "10.1.2.3")):
        link = AgentLink(target, POLICIES["default"])
        link._state = {"broker": {"endpoint": {"host": host, "port": 1884}}}
        made = make_broker_at(link)
        assert (made.host, made.port) == (expected, 1884)
        link.tracker.lost("never opened")


def make_broker_at(link: AgentLink) -> RemoteBroker:
    from brokertuner_tui.mqtt.endpoint import Endpoint

    return RemoteBroker(link, lambda said: Endpoint(said["host"], said["port"]))


def test_settings_choose_the_policy_and_where_clients_go(tmp_path: Path) -> None:
    where: dict[str, Any] = {"kind": "remote", "url": "https://far.example", "token_file": _token(tmp_path)}
    said = {"broker": {"endpoint": {"host": "::1", "port": 9, "transport": "websockets", "path": "/m", "tls": True}}}

    def made(**more: Any) -> RemoteBroker:
        broker = make_broker(BrokerSettings(**where, **more), tmp_path)
        assert isinstance(broker, RemoteBroker)
        broker.link._state = said
        return broker

    assert str(made().endpoint) == "wss://far.example:9/m", "what the agent says of its listener"
    assert str(made(transport="tcp", tls=False).endpoint) == "mqtt://far.example:9", "what is set here wins"
    assert str(made(host="10.0.0.9", port=1999).endpoint) == "wss://10.0.0.9:1999/m"
    broker = made(connection="unstable-network")
    assert dataclasses.asdict(broker.link.tracker.policy) == dataclasses.asdict(POLICIES["unstable-network"])
    assert broker.program == "https://far.example:443"
    with pytest.raises(TunerError, match="token_file"):
        make_broker(BrokerSettings(kind="remote", url="https://far.example"), tmp_path)


def _token(folder: Path) -> Path:
    path = folder / "some-token"
    path.touch(0o600)
    path.write_text("a" * 32 + "\n")
    return path


def _mosquitto(agent: Agent) -> Path:
    return agent._mosquitto
