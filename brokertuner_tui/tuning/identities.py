"""Which processes belong to a run at this moment, for its record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.process.identity import Identity

if TYPE_CHECKING:  # importing the store imports SQLAlchemy
    from brokertuner_tui.env.testbed import Testbed
    from brokertuner_tui.store.rows import BrokerIdentity, LoadIdentity


def identities(testbed: Testbed) -> tuple[BrokerIdentity, LoadIdentity]:
    """Broker and load as they are now. No connection is made."""
    from brokertuner_tui.store.rows import BrokerIdentity, LoadIdentity

    broker = testbed.broker
    status, load = broker.status(), testbed.load.status()
    ours = isinstance(broker, ManagedBroker)
    place = str(broker.folder) if isinstance(broker, ManagedBroker) else broker.program
    # Of somebody else's broker the PID may be one of another host: nobody here is to look for it.
    created_at = _created_at(status.pid) if ours else status.started_at
    return (
        BrokerIdentity(status.pid, created_at, status.host, status.port, place, ours),
        LoadIdentity(load.pid, _created_at(load.pid)),
    )


def _created_at(pid: int | None) -> float | None:
    try:
        return None if pid is None else Identity.of(pid).created_at
    except ProcessLookupError:
        return None
