"""What comes before a change: an intent on the disk, and a Mosquitto that nobody uses has taken the knobs."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from brokertuner_tui.broker.intent import LastGood
from brokertuner_tui.broker.interface import Applied
from brokertuner_tui.broker.pretest import MADE, PreTest, Refused
from brokertuner_tui.knobs.catalogue import KnobValues


class NotPrepared(Exception):
    """Nothing was touched: why, in one line, and what the other Mosquitto said."""

    def __init__(self, why: str, log: str = "") -> None:
        self.why, self.log = why, log
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the preparation came to. As made here: there was none, since nothing changes."""

    checks: tuple[str, ...] = ()
    """For `Applied.checks`."""
    intent_s: float = 0.0
    pretest_s: float = 0.0
    """What the pre-test took beyond the intent, which is written while the other Mosquitto starts."""

    def added_to(self, applied: Applied) -> Applied:
        """The change with its preparation."""
        return replace(
            applied,
            checks=(*self.checks, *applied.checks),
            write_s=self.intent_s + applied.write_s,
            pretest_s=self.pretest_s,
            total_s=self.intent_s + self.pretest_s + applied.total_s,
        )


def prepare(last_good: LastGood, pretest: PreTest | None, in_force: KnobValues, wanted: KnobValues) -> Prepared:
    """Makes ready for a change from `in_force` to `wanted`. On the way back to what has proven itself nothing is tried.

    Args:
        pretest: None: the broker's program is not on this machine.

    Raises:
        NotPrepared: leave everything as it is.
        TunerError: the disk failed.
    """
    began = time.perf_counter()
    try:
        if pretest is None or wanted == last_good.knobs:
            last_good.announce(in_force, wanted)
            checks = (f"no {MADE}: its program is not on this machine",) if pretest is None else ()
            return Prepared(checks, time.perf_counter() - began)
        with pretest.begin(wanted) as attempt:
            last_good.announce(in_force, wanted)
            noted = time.perf_counter()
            check = attempt.result()
    except OSError as error:
        why = f"what is about to be changed cannot be noted in {last_good.path}: {error.strerror or error}"
        raise NotPrepared(why) from None
    except Refused as error:
        raise NotPrepared(f"the pre-test failed: {error.why}", error.log) from None
    return Prepared((check,), noted - began, time.perf_counter() - noted)


def name_of(wanted: KnobValues, before: KnobValues) -> str:
    """What is put back, in words."""
    return "the knobs before" if wanted == before else "the last known good knobs"
