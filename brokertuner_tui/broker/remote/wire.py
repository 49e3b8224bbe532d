"""What an agent says, as the objects that it means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brokertuner_tui.broker.interface import Applied, BrokerStatus, Difference
from brokertuner_tui.errors import ConnectionFailed
from brokertuner_tui.store.plain import revive
from brokertuner_tui.telemetry.sample import ProcessUsage, SysRates


def section(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object in an answer; empty where it is missing or null."""
    part = data.get(name)
    return part if isinstance(part, dict) else {}


def applied(data: Mapping[str, Any]) -> Applied:
    """A change.

    Raises:
        ConnectionFailed: it is none.
    """
    try:
        return revive(Applied, {**data, "knobs": dict(data["knobs"])})
    except (KeyError, TypeError, ValueError) as error:
        raise ConnectionFailed(f"the agent's answer cannot be read: {error!r} in a change") from error


def broker_status(data: Mapping[str, Any]) -> BrokerStatus:
    """How the agent's broker is.

    Raises:
        ConnectionFailed: it does not say so.
    """
    try:
        last = data.get("last_applied")
        more = {"last_applied": applied(last) if last else None, "drift": differences(data.get("drift"))}
        return revive(BrokerStatus, {**data, "state": data["state"], **more})
    except (KeyError, TypeError, ValueError) as error:
        raise ConnectionFailed(f"the agent's answer cannot be read: {error!r} in the broker's status") from error


def differences(data: object) -> tuple[Difference, ...]:
    """How the broker is not as it was left; an agent before this was known says nothing of it.

    Raises:
        KeyError, TypeError, ValueError: it does not say so.
    """
    if not isinstance(data, list):
        return ()
    return tuple(Difference(one["what"], str(one["name"]), str(one["ours"]), str(one["theirs"])) for one in data)


def process_usage(data: Mapping[str, Any]) -> ProcessUsage:
    """What the broker's process uses there.

    Raises:
        ConnectionFailed: it does not say so.
    """
    try:
        return revive(ProcessUsage, data)
    except (TypeError, ValueError) as error:
        raise ConnectionFailed(f"the agent's answer cannot be read: {error!r} in the process's usage") from error


def sys_rates(data: Mapping[str, Any]) -> SysRates:
    """`$SYS` as the agent reads it; JSON has no infinity, so an age that is not known comes as null.

    Raises:
        ConnectionFailed: it does not say so.
    """
    age = data.get("age_s")
    try:
        return revive(SysRates, {**data, "age_s": float("inf") if age is None else age})
    except (TypeError, ValueError) as error:
        raise ConnectionFailed(f"the agent's answer cannot be read: {error!r} in $SYS") from error
