"""What a profile may say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from brokertuner_tui.config.workloads import shipped_tables
from brokertuner_tui.errors import ConfigError
from brokertuner_tui.workload import limits
from brokertuner_tui.workload.profile import Profile

GOOD = Profile("test", qos=1, rate=100)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"payload_bytes": 24},
        {"window": 65535},
        {"burst": (0.2, 0.8)},
        {"subscribers": 0},
        {"rate": 0},
        {"publishers": 1000, "subscribers": 1000},
        {"protocol": 5, "qos": 2, "clean_session": False, "offline_subscribers": 9},
    ],
)
def test_good(changes: dict[str, Any]) -> None:
    limits.check(replace(GOOD, **changes))


def test_shipped_workloads_can_be_made() -> None:
    tables = shipped_tables()
    assert {"telemetry", "durable", "qos2"} <= set(tables)
    for table in tables.values():
        if table.profile is not None:
            limits.check(table.profile)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("payload_bytes", 23),
        ("payload_bytes", True),
        ("payload_bytes", 2**30),
        ("publishers", 0),
        ("publishers", 1.5),
        ("subscribers", -1),
        ("topics", 0),
        ("qos", 3),
        ("rate", -1.0),
        ("rate", float("nan")),
        ("rate", float("inf")),
        ("window", 0),
        ("window", 65536),
        ("client_rtt_ms", -0.1),
        ("protocol", 3),
        ("slo_ms", 0.0),
        ("burst", (0.2, 0.0)),
        ("burst", (0.2,)),
        ("clean_session", 1),
        ("offline_subscribers", -2),
    ],
)
def test_bad_names_where_key_value_and_what_is_allowed(key: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        limits.check(replace(GOOD, **{key: value}), "my.toml")
    message = str(caught.value)
    assert message.startswith(f"my.toml: {key} = {value!r}: ")
    assert "\n" not in message
    assert len(message) > len(f"my.toml: {key} = {value!r}: ")


def test_bursts_need_a_rate_and_huge_loads_are_refused() -> None:
    with pytest.raises(ConfigError, match="rate above 0"):
        limits.check(replace(GOOD, rate=0, burst=(0.2, 0.8)))
    with pytest.raises(ConfigError, match="payload_bytes"):
        limits.check(replace(GOOD, publishers=100, payload_bytes=16 * 2**20))
    with pytest.raises(ConfigError, match="subscribers"):
        limits.check(replace(GOOD, publishers=10_000, subscribers=10_000))
