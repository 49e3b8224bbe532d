"""How the agent goes about what is somebody's: small steps from what is known to be good."""

from __future__ import annotations

from dataclasses import dataclass

from brokertuner_tui.knobs.catalogue import CATALOGUE, KnobValues, Value
from brokertuner_tui.knobs.codec import decode_knob, encode_knob

HELD_UNDER_LIVE = ("persistence", "memory_limit", "max_packet_size", "message_size_limit")
"""Knobs that the agent leaves alone under live traffic: they decide what survives a restart, and who is thrown out or
silently discarded, and nothing tells how large real clients' messages can be."""
_LIVE_SAFETY = 0.875


@dataclass(frozen=True, slots=True)
class Caution:
    """How far one trial may go."""

    max_step: float
    """In each knob's action, whose range is 2."""
    margin: float | None = None
    """The share in time of live traffic may fall so far below the default's before a trial is ended; None: it is not ended."""
    held: tuple[str, ...] = ()
    """Knobs that stay as the broker has them, unless the operator sets them."""
    default_every: int = 25
    """Trials between two measurements of the default: a reference for drift."""

    @classmethod
    def under(cls, safety: float | None, *, live_margin: float | None = None) -> Caution | None:
        """What the settings mean: no knob goes further than 1 - `safety` of its range. None: anything may be tried.

        Args:
            safety: 0 to 1; None: what the load suggests.
            live_margin: `live.margin` under live traffic, which changes its shape and is nobody's to hurt; else None.
        """
        if live_margin is not None:
            return cls(2 * (1 - (_LIVE_SAFETY if safety is None else safety)), live_margin, HELD_UNDER_LIVE, default_every=10)
        return cls(2 * (1 - safety)) if safety else None

    def near(self, wish: KnobValues, known: KnobValues) -> dict[str, Value]:
        """`wish`, but no knob further than a step from `known`, and of the switches that differ only the first gone over (a
        switch has no half way: none where no step is allowed at all)."""
        near: dict[str, Value] = {}
        switched = self.max_step <= 0
        for knob in CATALOGUE:
            name = knob.name
            if knob.scale == "switch":
                goes = wish[name] != known[name] and not switched
                switched = switched or goes
                near[name] = wish[name] if goes else known[name]
                continue
            wanted, here = encode_knob(name, wish[name]), encode_knob(name, known[name])
            if abs(wanted - here) <= self.max_step:
                near[name] = wish[name]
            else:
                near[name] = decode_knob(name, here + self.max_step * (1 if wanted > here else -1))
        return near
