"""The sheet has every colour that it uses, light and dark, and what is to be read can be read."""

from __future__ import annotations

import re

import pytest

from brokertuner_tui.html.style import sheet


def _colours(which: int) -> dict[str, str]:
    found = re.findall(r"--([a-z]+):(#[0-9a-f]{6});", str(sheet()))
    half = len(found) // 2
    return dict(found[:half] if which == 0 else found[half:])


def _luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("which", [0, 1], ids=["light", "dark"])
def test_colours(which: int) -> None:
    """WCAG 2.1: 4.5 for text, 3 for what is drawn."""
    colours = _colours(which)
    used = set(re.findall(r"var\(--([a-z]+)\)", str(sheet()))) - {"role"}
    assert used <= colours.keys()
    for text in ("foreground", "quiet", "worse", "accent"):
        assert _contrast(colours[text], colours["background"]) >= 4.5
    assert _contrast(colours["quiet"], colours["surface"]) >= 4.5
    for drawn in ("better", "best", "hand"):
        assert _contrast(colours[drawn], colours["background"]) >= 3


def test_light_and_dark_and_paper() -> None:
    text = str(sheet())
    assert "@media screen and (prefers-color-scheme:dark)" in text
    assert "@media print" in text
    assert text.count("{") == text.count("}")
