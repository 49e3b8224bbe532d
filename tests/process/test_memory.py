"""What is free goes back to the system."""

from __future__ import annotations

import psutil

from brokertuner_tui.process.memory import give_back


def test_memory_that_is_free_goes_back() -> None:
    process = psutil.Process()
    # Blocks too small for a mapping of their own, each kept from the heap's end by the ones after it.
    blocks = [bytearray(60_000) for _ in range(3000)]
    kept = blocks[::100]
    full = process.memory_info().rss
    del blocks
    give_back()
    assert process.memory_info().rss < full - 100 * 2**20
    assert len(kept) == 30
