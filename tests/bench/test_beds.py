"""A bed on a real broker mends itself: what a method does to it is over with the trial."""

from __future__ import annotations

from pathlib import Path

from brokertuner_tui.bench.beds import RealBed
from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.knobs.catalogue import defaults
from tests.tuning.conftest import SMALL


def test_a_good_setting_that_the_broker_has_outgrown_gives_way_to_the_defaults(every_mosquitto: Path) -> None:
    bed = RealBed(every_mosquitto, SMALL, 0.2)
    try:
        own = bed.defaults
        assert bed.trial(own).verdict is Verdict.OK
        # As after a trial whose memory_limit was just above what the broker held then.
        bed._good = {**own, "memory_limit": 1000}
        assert bed.trial({**own, "memory_limit": 900}).verdict is Verdict.FAILED
        assert bed._good == own
        assert bed.trial({**own, "max_queued_messages": 500}).verdict is Verdict.OK
        assert bed._good == {**defaults(bed.version), "max_queued_messages": 500}
    finally:
        bed.close()
