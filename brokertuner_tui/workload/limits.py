"""What a profile may say: one rule a key, for whoever reads profiles and for the loads themselves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from brokertuner_tui.errors import ConfigError
from brokertuner_tui.workload.profile import Profile

MIN_PAYLOAD_BYTES = 24
"""Epoch, publisher, sequence number and send time (`generator.layout`)."""
MAX_PAYLOAD_BYTES = 16 * 1024 * 1024
MAX_CLIENTS = 10_000
MAX_WINDOW = 65535
"""Packet ids have 16 bits, and 0 is none."""
MAX_BUFFERED_BYTES = 256 * 1024 * 1024
"""All publishers' messages, of which each keeps one ready."""
MAX_CONNECTS_PER_S = 10_000
MAX_PARTS = 64
"""Loads that run at once."""
MAX_PAIRS = 4_000_000
"""Subscribers times publishers: each subscriber tracks each publisher."""


def _whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _real(low: float, high: float, *, open_low: bool = False) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return False
        return low < value <= high if open_low else low <= value <= high

    return check


def _burst(value: Any) -> bool:
    part = _real(0, 3600, open_low=True)
    return value is None or (isinstance(value, tuple) and len(value) == 2 and all(part(seconds) for seconds in value))


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "publishers": (_whole(1, MAX_CLIENTS), f"a whole number from 1 to {MAX_CLIENTS:,}"),
    "subscribers": (_whole(0, MAX_CLIENTS), f"a whole number from 0 to {MAX_CLIENTS:,}"),
    "topics": (_whole(1, MAX_CLIENTS), f"a whole number from 1 to {MAX_CLIENTS:,}"),
    "qos": (_whole(0, 2), "0, 1 or 2"),
    "payload_bytes": (
        _whole(MIN_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES),
        f"a whole number from {MIN_PAYLOAD_BYTES} (sequence number and send time) to {MAX_PAYLOAD_BYTES:,}",
    ),
    "rate": (_real(0, 10_000_000), "messages a second from 0 (closed loop) to 10,000,000"),
    "window": (_whole(1, MAX_WINDOW), f"a whole number from 1 to {MAX_WINDOW:,} (packet ids have 16 bits)"),
    "client_rtt_ms": (_real(0, 60_000), "milliseconds from 0 to 60,000"),
    "clean_session": (lambda value: isinstance(value, bool), "true or false"),
    "offline_subscribers": (_whole(0, MAX_CLIENTS), f"a whole number from 0 to {MAX_CLIENTS:,}"),
    "protocol": (_whole(4, 5), "4 (MQTT 3.1.1) or 5"),
    "burst": (_burst, "[seconds on, seconds off], each above 0, at most 3,600"),
    "connects": (_real(0, MAX_CONNECTS_PER_S), f"clients a second from 0 to {MAX_CONNECTS_PER_S:,}"),
    "slo_ms": (_real(0, 600_000, open_low=True), "milliseconds above 0, at most 600,000"),
}


def check(profile: Profile, where: str = "profile") -> None:
    """Raises unless `profile` is one that the loads can make.

    Raises:
        ConfigError: naming `where`, the key, its value and what is allowed.
    """
    if profile.parts:
        _check_mix(profile, where)
        return
    for key, (fits, allowed) in _RULES.items():
        value = getattr(profile, key)
        if not fits(value):
            raise ConfigError(where, key, value, allowed)
    if profile.burst and not profile.rate:
        raise ConfigError(where, "burst", list(profile.burst), "only with a rate above 0")
    if profile.publishers * profile.payload_bytes > MAX_BUFFERED_BYTES:
        allowed = f"at most {MAX_BUFFERED_BYTES:,} for all {profile.publishers:,} publishers together"
        raise ConfigError(where, "payload_bytes", profile.payload_bytes, allowed)
    if profile.publishers * profile.subscribers > MAX_PAIRS:
        allowed = f"at most {MAX_PAIRS:,} pairs with the {profile.publishers:,} publishers"
        raise ConfigError(where, "subscribers", profile.subscribers, allowed)


def _check_mix(profile: Profile, where: str) -> None:
    if len(profile.parts) > MAX_PARTS:
        raise ConfigError(where, "mix", len(profile.parts), f"at most {MAX_PARTS} loads at once")
    for part in profile.parts:
        check(part, f"{where}, {part.name}")
        if part.parts:
            raise ConfigError(where, "mix", part.name, "a mix cannot hold a mix")
        if part.client_rtt_ms != profile.client_rtt_ms:
            raise ConfigError(f"{where}, {part.name}", "client_rtt_ms", part.client_rtt_ms, "must be the same in all of a mix")
    for key in ("publishers", "subscribers", "offline_subscribers"):
        if getattr(profile, key) > MAX_CLIENTS:
            raise ConfigError(where, key, getattr(profile, key), f"at most {MAX_CLIENTS:,} in all of a mix together")
    for key, amount, most in (
        ("payload_bytes", sum(part.publishers * part.payload_bytes for part in profile.parts), MAX_BUFFERED_BYTES),
        ("subscribers", sum(part.publishers * part.subscribers for part in profile.parts), MAX_PAIRS),
    ):
        if amount > most:
            raise ConfigError(where, key, getattr(profile, key), f"times its publishers, at most {most:,} in all of a mix")
