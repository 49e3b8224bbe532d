"""Ablations of a best setting whose response is known."""

from __future__ import annotations

import random
from collections.abc import Callable

from brokertuner_tui.insight.ablation import BEST, SIMPLEST, Ablation, AblationWindow
from brokertuner_tui.knobs.catalogue import KnobValues, defaults
from tests.env.made import window
from tests.insight.made import VERSION

CHANGED: KnobValues = {
    "max_inflight_messages": 500,
    "max_queued_messages": 5000,
    "set_tcp_nodelay": True,
    "max_packet_size": 4096,
}
BEST_KNOBS: KnobValues = {**defaults(VERSION), **CHANGED}


def ablation(
    response: Callable[[KnobValues], float],
    *,
    turns: int = 4,
    noise: float = 0.0,
    drift: float = 0.0,
    p99_ms: Callable[[KnobValues], float] = lambda knobs: 4.0,
    dropped: tuple[str, ...] = (),
    seed: int = 0,
    left_out: dict[str, str] | None = None,
    broke: tuple[str, ...] = (),
) -> Ablation:
    """Measured in turns.

    Args:
        noise: standard deviation of a window, as a share of it.
        drift: by so much each window is slower than the one before.
    """
    rng, speed, windows = random.Random(seed), 1.0, list[AblationWindow]()
    out = left_out or {}

    def measure(turn: int, of: str, back: tuple[str, ...]) -> None:
        nonlocal speed
        knobs = {**BEST_KNOBS, **{name: defaults(VERSION)[name] for name in back}}
        rate = max(0.0, response(knobs) * speed * rng.gauss(1.0, noise))
        slices = tuple(int(rate * rng.gauss(1.0, noise) / 10) for _ in range(10))
        windows.append(AblationWindow(turn, of, window(int(rate), p99_ms=p99_ms(knobs), on_time_slices=slices, slice_s=0.1)))
        speed *= 1 - drift

    for turn in range(1, turns + 1):
        these = [BEST, *(name for name in CHANGED if name not in out)]
        rng.shuffle(these)
        for of in these:
            measure(turn, of, () if of == BEST else (of,))
    for turn in range(turns + 1, 3 * turns + 1):
        if len(dropped) > 1:
            for of in (BEST, SIMPLEST) if turn % 2 else (SIMPLEST, BEST):
                measure(turn, of, () if of == BEST else dropped)
    return Ablation(0.0, "fanout", 7, BEST_KNOBS, defaults(VERSION), tuple(windows), out, broke, dropped)


def fanout(knobs: KnobValues) -> float:
    """Half without set_tcp_nodelay; a tenth less without one or both of two knobs that do the same; nothing else matters."""
    enough = knobs["max_inflight_messages"] >= 500 or knobs["max_queued_messages"] >= 5000
    return 50_000 * (1.0 if knobs["set_tcp_nodelay"] else 0.5) * (1.0 if enough else 0.9)
