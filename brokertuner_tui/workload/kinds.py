"""Which load the config asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from brokertuner_tui.config.settings import Settings
from brokertuner_tui.connection.policy import POLICIES
from brokertuner_tui.connection.tracker import Linked
from brokertuner_tui.errors import UsageError
from brokertuner_tui.telemetry.sample import SysRates
from brokertuner_tui.workload import live
from brokertuner_tui.workload.builtin import BuiltinLoad
from brokertuner_tui.workload.emqtt_bench.load import EmqttBenchLoad
from brokertuner_tui.workload.load import Load
from brokertuner_tui.workload.profile import Workload

if TYPE_CHECKING:
    from brokertuner_tui.broker.interface import Broker


def make_load(settings: Settings, folder: Path, broker: Broker, workload: Workload, read_sys: Callable[[], SysRates]) -> Load:
    """The load on `broker` that the settings name; nothing is started.

    Args:
        folder: for what the load writes.
        read_sys: the broker's own counters, for live traffic.

    Raises:
        UsageError: this load cannot be had with this broker.
    """
    if workload.name == live.NAME:
        from brokertuner_tui.workload.live.load import LiveLoad

        if settings.load.side == "agent":
            raise UsageError("load.side = 'agent': live traffic is watched from here (load.side = 'here')")
        every_s = POLICIES[settings.broker.connection].heartbeat_s
        # An agent has a heartbeat of its own.
        heartbeats_s = (every_s, every_s) if isinstance(broker, Linked) else (every_s,)
        return LiveLoad(folder, settings.live, read_sys, heartbeats_s=heartbeats_s)
    if settings.load.side == "agent":
        from brokertuner_tui.broker.remote.broker import RemoteBroker
        from brokertuner_tui.workload.remote import RemoteLoad

        if not isinstance(broker, RemoteBroker):
            raise UsageError("load.side = 'agent': is for a broker on another host (broker.kind = 'remote')")
        if settings.load.generator != "builtin":
            raise UsageError("load.side = 'agent': the agent's load is the built-in one (load.generator = 'builtin')")
        return RemoteLoad(broker.link)
    if settings.load.generator == "emqtt_bench":
        return EmqttBenchLoad(folder)
    return BuiltinLoad(folder)
