"""A preset by its name."""

from __future__ import annotations

from brokertuner_tui.config.settings import RewardSettings
from brokertuner_tui.env.classic import ClassicPreset
from brokertuner_tui.env.preset import Preset
from brokertuner_tui.env.slo import SloPreset
from brokertuner_tui.errors import UsageError


def make_preset(name: str, settings: RewardSettings | None = None) -> Preset:
    """`classic` or `slo`, a new one (slo remembers what a closed loop delivered first: one preset for a run).

    Raises:
        UsageError: there is no such preset.
    """
    settings = settings or RewardSettings()
    if name == "slo":
        return SloPreset(settings.slo)
    if name == "classic":
        return ClassicPreset(settings.classic)
    raise UsageError(f"unknown preset {name!r}: known are slo, classic")
