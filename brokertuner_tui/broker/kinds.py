"""Which broker the config asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brokertuner_tui.broker.find import find_mosquitto
from brokertuner_tui.broker.interface import Broker
from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.config.credentials import endpoint_of
from brokertuner_tui.config.settings import BrokerSettings
from brokertuner_tui.errors import UsageError
from brokertuner_tui.mqtt.endpoint import Endpoint

if TYPE_CHECKING:  # each costs a few milliseconds that only its kind needs
    from brokertuner_tui.broker.external import ExternalBroker
    from brokertuner_tui.broker.service import Service


def make_broker(settings: BrokerSettings, folder: Path) -> Broker:
    """The broker of `settings.kind`; nothing is started or touched.

    Args:
        folder: the run's own, for what a broker of ours writes.

    Raises:
        TunerError: there is no such broker.
    """
    if settings.kind == "remote":
        return _remote(settings)
    if settings.kind != "managed":
        return external_broker(settings)
    return ManagedBroker(
        find_mosquitto(settings.mosquitto),
        folder,
        port=settings.port,
        extra_conf=settings.extra_conf,
        restart_stable_s=settings.broker_restart_stable_sec,
        reload_stable_s=settings.broker_reload_stable_sec,
    )


def external_broker(settings: BrokerSettings) -> ExternalBroker:
    """The broker that a unit, or the operator's commands, run; nothing is asked or touched yet.

    Raises:
        UsageError: the settings name no such broker.
    """
    from brokertuner_tui.broker.external import ExternalBroker
    from brokertuner_tui.paths import state_dir

    typed = settings.model_fields_set
    return ExternalBroker(
        _service(settings),
        state_dir() / "originals",
        lambda host, port: endpoint_of(settings, host=host, port=port),
        knob_file=settings.tuner_config,
        host=settings.host if "host" in typed else None,
        port=settings.port or None,
        program=settings.mosquitto,
        restart_stable_s=settings.broker_restart_stable_sec,
        reload_stable_s=settings.broker_reload_stable_sec,
    )


def _service(settings: BrokerSettings) -> Service:
    if settings.kind == "systemd":
        from brokertuner_tui.broker.systemd import SystemdService

        return SystemdService(settings.unit, settings.systemctl, pid=settings.mosquitto_pid, main_config=settings.main_config)
    if settings.kind != "command":
        raise UsageError(f"broker.kind = {settings.kind!r}: is for a broker of our own; systemd and command are for others")
    from brokertuner_tui.broker.command import CommandService

    commands = settings.command
    return CommandService(
        restart=commands.restart,
        reload=commands.reload,
        status=commands.status,
        log=commands.log,
        pid=commands.pid,
        fixed_pid=settings.mosquitto_pid,
        main_config=settings.main_config,
        seen_as=settings.config_seen_as,
    )


def _remote(settings: BrokerSettings) -> Broker:
    """The broker of an agent; nothing is connected yet.

    Raises:
        UsageError: the URL is none, the token's file cannot be used, or the certificates to believe cannot be read.
    """
    # Here and not above: `ssl` and `http` cost a few milliseconds that only this kind needs.
    from brokertuner_tui.broker.remote.broker import RemoteBroker
    from brokertuner_tui.connection.link import AgentLink
    from brokertuner_tui.connection.policy import POLICIES
    from brokertuner_tui.connection.target import make_target

    target = make_target(settings.url, settings.token_file, settings.agent_ca_file)
    typed = settings.model_fields_set

    def endpoint(said: Mapping[str, Any]) -> Endpoint:
        """The agent's listener; what is set here wins."""
        protocol = {4: "3.1.1", 5: "5"}.get(said.get("protocol", 0))
        known = {"transport": said.get("transport"), "ws_path": said.get("path"), "tls": said.get("tls"), "protocol": protocol}
        update = {name: value for name, value in known.items() if value is not None and name not in typed}
        return endpoint_of(settings.model_copy(update=update), host=said["host"], port=said["port"])

    return RemoteBroker(
        AgentLink(target, POLICIES[settings.connection]),
        endpoint,
        host=settings.host if "host" in typed else None,
        port=settings.port or None,
        restart_stable_s=settings.broker_restart_stable_sec,
    )
