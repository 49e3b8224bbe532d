"""Which broker the config asks for."""

from __future__ import annotations

from pathlib import Path

from brokertuner_tui.broker.find import find_mosquitto
from brokertuner_tui.broker.interface import Broker
from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.config.settings import BrokerSettings


def make_broker(settings: BrokerSettings, folder: Path) -> Broker:
    """The broker of `settings.kind`; nothing is started or touched.

    Args:
        folder: the run's own, for what a broker of ours writes.

    Raises:
        TunerError: there is no such broker.
    """
    return ManagedBroker(
        find_mosquitto(settings.mosquitto),
        folder,
        port=settings.port,
        extra_conf=settings.extra_conf,
        restart_stable_s=settings.broker_restart_stable_sec,
        reload_stable_s=settings.broker_reload_stable_sec,
    )
