"""The network and the agent fail in every way: nothing is applied twice, and all is well again within one interval."""

from __future__ import annotations

import itertools
import json
import os
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from brokertuner_tui.broker.interface import Applied, BrokerUnavailable
from brokertuner_tui.broker.remote import broker as remote
from brokertuner_tui.broker.remote.broker import RemoteBroker
from brokertuner_tui.connection.link import AgentLink
from brokertuner_tui.connection.policy import POLICIES
from brokertuner_tui.connection.target import make_target
from brokertuner_tui.connection.tracker import ConnectionState
from brokertuner_tui.mqtt.endpoint import Endpoint
from tests.agents import Agent
from tests.broker.remote.conftest import QUICK, Connect, wait_until_usable
from tests.connection.proxy import FaultyProxy
from tests.waiting import eventually

SLACK_S = 1.0
"""For a busy machine, on top of what the policy says."""
CHANGE = {"set_tcp_nodelay": True}


def opened(broker: RemoteBroker) -> RemoteBroker:
    """With its baseline in force, and a heartbeat."""
    broker.start(broker.baseline)
    assert eventually(lambda: broker.link.reading is not None)
    return broker


class Asked:
    """A change that is asked for in a thread, so that the test can break things under it."""

    def __init__(self, broker: RemoteBroker, **knobs: Any) -> None:
        self.applied: Applied | None = None
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._ask, args=(broker, {**broker.baseline, **knobs}))
        self._thread.start()

    def _ask(self, broker: RemoteBroker, knobs: Any) -> None:
        try:
            self.applied = broker.apply(knobs)
        except Exception as error:
            self.error = error

    def outcome(self) -> Applied:
        """Of the change; raises what it raised."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error
        assert self.applied is not None
        return self.applied


def journal(agent: Agent) -> list[dict[str, Any]]:
    """What the agent's journal of changes says of applies, oldest first."""
    lines = (agent.folder / "data" / "service" / "changes.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == "apply"]


def intents(agent: Agent) -> list[str]:
    """The keys of changes that were begun."""
    return [record["key"] for record in journal(agent) if record["event"] == "intent"]


def test_a_cut_is_seen_tried_at_the_policys_rate_and_over_within_one_interval(connect: Connect, proxy: FaultyProxy) -> None:
    """3 s of an outage are eight times this policy's cap, as 10 minutes are twenty times that of the default one."""
    broker = opened(connect(proxy.url))
    knobs = broker.status().knobs
    cut_at = time.monotonic()
    proxy.cut()
    assert eventually(lambda: not broker.connection.state.usable)
    assert time.monotonic() - cut_at < QUICK.heartbeat_s + QUICK.heartbeat_timeout_s + SLACK_S
    assert broker.alive(), "an agent that is away says nothing against its broker"
    assert broker.status().knobs == knobs
    assert broker.told() is None
    assert eventually(lambda: broker.connection.attempts >= 3)
    attempts = broker.connection.attempts
    healed_at = time.monotonic()
    proxy.heal()
    took = wait_until_usable(broker, healed_at)
    assert took <= QUICK.cap_s + SLACK_S
    begun = [at for at in proxy.connections if cut_at < at < healed_at]
    assert len(begun) <= attempts + 1
    gaps = [later - earlier for earlier, later in itertools.pairwise(begun)]
    for failures, gap in enumerate(gaps, start=1):
        assert gap >= QUICK.shortest_s(failures) - 0.01, gaps
    assert attempts >= 3


def test_the_default_policy_survives_a_cut_of_a_second(connect: Connect, proxy: FaultyProxy) -> None:
    policy = POLICIES["default"]
    broker = opened(connect(proxy.url, policy))
    cut_at = time.monotonic()
    proxy.cut()
    time.sleep(1.0)
    proxy.heal()
    assert wait_until_usable(broker, time.monotonic()) <= policy.interval_s(2) + SLACK_S
    begun = [at for at in proxy.connections if at > cut_at]
    assert len(begun) <= 4


def test_a_half_open_connection_is_noticed_by_its_silence(connect: Connect, proxy: FaultyProxy) -> None:
    broker = opened(connect(proxy.url))
    silent_at = time.monotonic()
    proxy.swallow()
    assert eventually(lambda: broker.connection.state is ConnectionState.DEGRADED or not broker.connection.state.usable)
    assert eventually(lambda: not broker.connection.state.usable)
    assert time.monotonic() - silent_at <= QUICK.heartbeat_s + QUICK.heartbeat_timeout_s + SLACK_S
    assert "no answer in time" in broker.connection.last_error
    # New connections are accepted and say nothing: each attempt takes its timeout, and is one at a time.
    assert eventually(lambda: broker.connection.attempts >= 2)
    healed_at = time.monotonic()
    proxy.heal()
    assert wait_until_usable(broker, healed_at) <= QUICK.connect_timeout_s + QUICK.cap_s + SLACK_S


def test_nothing_is_left_of_old_connections(connect: Connect, proxy: FaultyProxy) -> None:
    broker = opened(connect(proxy.url))

    def sockets() -> int:
        links = [_target(path) for path in Path("/proc/self/fd").iterdir()]
        return sum(link.startswith("socket:") for link in links)

    proxy.cut()
    assert eventually(lambda: broker.connection.attempts >= 2)
    away = sockets()
    assert eventually(lambda: broker.connection.attempts >= 6)
    assert sockets() <= away + 2, "an attempt and the proxy's side of it"
    proxy.heal()
    wait_until_usable(broker, time.monotonic())
    threads = [thread.name for thread in threading.enumerate() if thread.name == "agent-link"]
    broker.stop()
    assert len(threads) == 1
    assert not any(thread.name == "agent-link" for thread in threading.enumerate())


def test_an_agent_that_is_restarted_is_found_again_within_one_interval(connect: Connect, agent: Agent) -> None:
    broker = opened(connect(agent.url))
    before = broker.link.state["agent"]
    agent.stop()
    assert eventually(lambda: not broker.connection.state.usable)
    assert broker.alive()
    agent.start()
    assert wait_until_usable(broker, time.monotonic()) <= QUICK.cap_s + SLACK_S
    assert broker.link.state["agent"]["pid"] != before["pid"]
    assert broker.apply({**broker.baseline, **CHANGE}).knobs["set_tcp_nodelay"] is True


def test_an_answer_that_is_lost_is_read_back_and_nothing_is_applied_twice(
    connect: Connect, agent: Agent, proxy: FaultyProxy
) -> None:
    broker = opened(connect(proxy.url))
    starts = agent.broker_starts
    time.sleep(1.05)  # the agent's rate
    proxy.mode = "no answers"
    asked = Asked(broker, **CHANGE)
    assert eventually(lambda: journal(agent)[-1]["event"] == "outcome" and len(intents(agent)) == 2)
    proxy.heal()
    applied = asked.outcome()
    assert applied.knobs["set_tcp_nodelay"] is True
    assert (broker.status().knobs or {})["set_tcp_nodelay"] is True
    assert len(intents(agent)) == 2
    assert agent.broker_starts == starts + 1


def test_a_request_that_is_lost_is_sent_again_with_the_same_key(connect: Connect, agent: Agent, proxy: FaultyProxy) -> None:
    broker = opened(connect(proxy.url))
    starts = agent.broker_starts
    time.sleep(1.05)
    proxy.mode = "no requests"
    asked = Asked(broker, **CHANGE)
    asking = broker._asking
    assert eventually(lambda: asking._pending is not None)
    key = asking._pending.key if asking._pending else ""
    assert eventually(lambda: not broker.connection.state.usable)
    proxy.heal()
    assert asked.outcome().how == "restart"
    assert intents(agent)[1:] == [key]
    assert agent.broker_starts == starts + 1


def test_a_change_that_nobody_waits_for_any_more_is_still_made_once_and_before_the_next(
    connect: Connect, agent: Agent, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = opened(connect(proxy.url))
    starts = agent.broker_starts
    time.sleep(1.05)
    monkeypatch.setattr(remote, "_PATIENCE_S", 1.0)
    proxy.mode = "no answers"
    with pytest.raises(BrokerUnavailable, match="found out as soon as it is back"):
        Asked(broker, **CHANGE).outcome()
    assert broker.alive()
    monkeypatch.setattr(remote, "_PATIENCE_S", 20.0)
    proxy.heal()
    applied = broker.apply({**broker.baseline, "set_tcp_nodelay": False, "persistence": True})
    assert applied.knobs["persistence"] is True
    assert len(intents(agent)) == 3
    assert len(set(intents(agent))) == 3
    assert agent.broker_starts == starts + 2
    with_nobody = [record for record in journal(agent) if record["event"] == "outcome"][1]
    assert with_nobody["state"] == "applied"


def test_an_agent_killed_in_the_middle_of_a_change_reads_back_and_never_applies_it_again(
    connect: Connect, mosquitto_2_0_21: Path, tmp_path: Path
) -> None:
    slow, started = tmp_path / "slow", tmp_path / "started"
    wrapper = tmp_path / "mosquitto"
    wrapper.write_text(
        f'#!/bin/sh\ncase "$*" in */pretest/*) ;; *-c*) echo x >> {started}; while [ -e {slow} ]; do sleep 0.02; done;; esac\n'
        f'exec {mosquitto_2_0_21} "$@"\n'
    )
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    agent = Agent(tmp_path / "other", wrapper).start()
    broker = connect_to(agent)
    try:
        opened(broker)
        before = broker.status().knobs
        assert started.read_text().count("x") == 1
        time.sleep(1.05)
        slow.touch()
        asked = Asked(broker, **CHANGE)
        assert eventually(lambda: started.read_text().count("x") == 2), "the change is under way: the new broker starts"
        agent.kill()
        slow.unlink()
        agent.start()
        with pytest.raises(BrokerUnavailable, match="ended in the middle of a change"):
            asked.outcome()
        wait_until_usable(broker, time.monotonic())
        assert broker.status().knobs == before, "read back"
        assert len(intents(agent)) <= 2
        assert started.read_text().count("x") == 3, "the change's own start, and the one of the agent that came back"
        applied = broker.apply({**broker.baseline, **CHANGE})
        assert applied.how == "restart"
        assert started.read_text().count("x") == 4
    finally:
        broker.stop()
        slow.unlink(missing_ok=True)
        agent.stop()


def connect_to(agent: Agent) -> RemoteBroker:
    """A broker at an agent of the test's own."""
    return RemoteBroker(
        AgentLink(make_target(agent.url, agent.token_file), QUICK), lambda said: Endpoint(said["host"], said["port"])
    )


def _target(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
