"""Packets of the load are MQTT, and patching the buffer changes what it should."""

from __future__ import annotations

import numpy as np
import pytest

from brokertuner_tui.workload.generator.layout import BATCH_BYTES, MARK, SMALL_PACKET_BYTES, Layout
from brokertuner_tui.workload.limits import MIN_PAYLOAD_BYTES
from brokertuner_tui.workload.profile import Profile


@pytest.mark.parametrize("payload", [24, 25, 64, 110, 127, 128, 4000, 4096, 16_300, 16_384, 65_536, 3_000_000])
@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_sizes_offsets_and_patching(qos: int, protocol: int, payload: int) -> None:
    profile = Profile("test", qos=qos, payload_bytes=payload, protocol=protocol)
    layout = Layout.of(profile, "bt/abcd", 5)
    blank = layout.packet(3, 9, 0, 0, 1 if qos else 0)
    assert len(blank) == layout.size
    assert len(blank) - layout.mark_at == payload
    assert blank.startswith(layout.head)
    assert blank.startswith(layout.packet_start(3))
    buffer = bytearray(blank * layout.batch)
    rows = np.frombuffer(buffer, layout.write_type)
    rows["seq"] = np.arange(layout.batch) + 2**40
    rows["sent"] = 2**50
    if qos:
        rows["id"] = 0x1234
    for index in range(layout.batch):
        wanted = layout.packet(3, 9, 2**40 + index, 2**50, 0x1234 if qos else 0)
        assert buffer[index * layout.size : (index + 1) * layout.size] == wanted
    assert layout.batch == 1 or len(buffer) <= BATCH_BYTES
    small = layout.size <= SMALL_PACKET_BYTES
    assert layout.record_size == (layout.size if small else layout.mark_at + MARK.size)


def test_the_smallest_payload_is_what_a_message_says_about_itself() -> None:
    assert MARK.size == MIN_PAYLOAD_BYTES == 24


def test_many_publishers_share_the_memory() -> None:
    assert Layout.of(Profile("test", publishers=10_000, payload_bytes=64), "bt/abcd", 5).batch < 100
