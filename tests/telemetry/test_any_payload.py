"""Whatever comes under $SYS: rates are finite and not negative."""

from __future__ import annotations

import itertools
import math

from hypothesis import example, given, settings
from hypothesis import strategies as st

from brokertuner_tui.telemetry.sys_topics import SysTally

TOPICS = (
    "uptime",
    "publish/messages/received",
    "publish/messages/sent",
    "publish/messages/dropped",
    "clients/connected",
    "heap/current",
    "version",
)
topics = st.sampled_from([f"$SYS/broker/{name}" for name in TOPICS]) | st.text(max_size=20)
payloads = st.text(max_size=20) | st.integers().map(str) | st.integers(0, 10**6).map(lambda number: f"{number} seconds")


@settings(max_examples=200, deadline=None)
@example([("$SYS/broker/uptime", "9" * 5000, False)])
@given(st.lists(st.tuples(topics, payloads, st.booleans()), max_size=30))
def test_any_messages(messages: list[tuple[str, str, bool]]) -> None:
    ticks = itertools.count()
    tally = SysTally(clock=lambda: float(next(ticks)))
    for topic, payload, retained in messages:
        tally.message(topic, payload, retained)
        rates = tally.rates()
        for rate in (rates.received_per_s, rates.sent_per_s, rates.dropped_per_s):
            assert math.isfinite(rate)
            assert rate >= 0
        assert isinstance(rates.uptime_s, int)
