"""Strategies for knob values."""

from __future__ import annotations

from hypothesis import strategies as st

from brokertuner_tui.knobs.catalogue import CATALOGUE, Knob, Value


def legal(knob: Knob) -> st.SearchStrategy[Value]:
    """Any legal value, the ends and the special ones more often."""
    if knob.type == "bool":
        return st.booleans()
    ends = {knob.low, knob.low + 1, knob.high - 1, knob.high, knob.default, *knob.special}
    return st.one_of(st.sampled_from(sorted(ends)), st.integers(knob.low, knob.high))


def extremes(knob: Knob) -> list[Value]:
    """The ends of what is legal, and the special values."""
    if knob.type == "bool":
        return [False, True]
    return sorted({knob.low, knob.low + 1, knob.high - 1, knob.high, *knob.special})


all_legal: st.SearchStrategy[dict[str, Value]] = st.fixed_dictionaries({knob.name: legal(knob) for knob in CATALOGUE})
