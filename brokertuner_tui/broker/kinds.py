"""Which broker the config asks for."""

from __future__ import annotations

from pathlib import Path

from brokertuner_tui.broker.find import find_mosquitto
from brokertuner_tui.broker.interface import Broker
from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.config.credentials import endpoint_of
from brokertuner_tui.config.settings import BrokerSettings


def make_broker(settings: BrokerSettings, folder: Path) -> Broker:
    """The broker of `settings.kind`; nothing is started or touched.

    Args:
        folder: the run's own, for what a broker of ours writes.

    Raises:
        TunerError: there is no such broker.
    """
    if settings.kind == "remote":
        return _remote(settings)
    return ManagedBroker(
        find_mosquitto(settings.mosquitto),
        folder,
        port=settings.port,
        extra_conf=settings.extra_conf,
        restart_stable_s=settings.broker_restart_stable_sec,
        reload_stable_s=settings.broker_reload_stable_sec,
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
    return RemoteBroker(
        AgentLink(target, POLICIES[settings.connection]),
        lambda host, port: endpoint_of(settings, host=host, port=port),
        host=settings.host if "host" in typed else None,
        port=settings.port or None,
        restart_stable_s=settings.broker_restart_stable_sec,
    )
