"""The methods by their names."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from typing import cast

from brokertuner_tui.bench.method import Method, Task
from brokertuner_tui.errors import UsageError
from brokertuner_tui.knobs.catalogue import KnobValues, Value, Version
from brokertuner_tui.workload.profile import Profile

_METHODS = {
    "default": "constants.default",
    "forum": "constants.forum",
    "random": "plain.random",
    "sobol": "plain.sobol",
    "tpe": "optuna_samplers.tpe",
    "gp": "optuna_samplers.gp",
    "cmaes": "cma.CmaEs",
    "smac": "smac_facade.Smac",
    "sb3": "stable_baselines.StableBaselines",
    "classic": "own.classic",
    "slo": "own.slo",
}
_NEEDS = {
    "tpe": {"optuna": "optuna"},
    "gp": {"optuna": "optuna", "scipy": "scipy", "threadpoolctl": "threadpoolctl"},
    "cmaes": {"cmaes": "cmaes"},
    "smac": {"smac": "smac", "threadpoolctl": "threadpoolctl"},
    "sb3": {"stable_baselines3": "stable-baselines3", "threadpoolctl": "threadpoolctl"},
}
"""Modules, and the packages that they are in."""


def names() -> tuple[str, ...]:
    """All of them, ours last."""
    return tuple(_METHODS)


def check(names: Sequence[str]) -> None:
    """Whether these methods can be made. Imports nothing.

    Raises:
        UsageError: there is no such method, or a package that it needs is not installed.
    """
    for name in names:
        if name not in _METHODS:
            raise UsageError(f"unknown method {name!r}: known are {', '.join(_METHODS)}")
    for name in names:
        missing = [package for module, package in _NEEDS.get(name, {}).items() if importlib.util.find_spec(module) is None]
        if missing:
            what = f"{', '.join(missing)}, not installed here"
            raise UsageError(f"method {name!r} needs {what}: pip install 'brokertuner-tui[bench]'")


def make(name: str, task: Task) -> Method:
    """A new one.

    Raises:
        UsageError: as `check`.
    """
    check([name])
    module, _, maker = _METHODS[name].partition(".")
    found = getattr(importlib.import_module(f"brokertuner_tui.bench.methods.{module}"), maker)
    return cast(Callable[[Task], Method], found)(task)


def warm_up(profile: Profile, version: Version, defaults: KnobValues, seed: int) -> list[dict[str, Value]]:
    """The settings that every method that learns begins with, after the default: those of our `slo` agent.

    First what it is designed to try under such a load, then its Sobol sequence over the settings that do not strangle it; traps
    are kept out of, as the product does. Rivals are given them, so that nobody wins by a better start.
    """
    import numpy as np

    from brokertuner_tui.agent.presets import SLO
    from brokertuner_tui.agent.search import sobol
    from brokertuner_tui.agent.space import MosquittoSpace
    from brokertuner_tui.env.slo import context
    from brokertuner_tui.knobs.codec import decode, rounded_changes
    from brokertuner_tui.tuning.guard.traps import evade

    space, load = MosquittoSpace(), np.array(context(profile, version), dtype=np.float32)
    designed = [action for action, _ in space.designed(load)]
    settings: list[dict[str, Value]] = []
    index = 0
    while len(settings) < SLO.warm_up - 1:  # the default is one of them
        spread = space.spread(sobol(space.size, seed, index)[None], load)[0]
        action = designed[index] if index < len(designed) else spread
        setting = evade(rounded_changes(decode(space.snap(action[None])[0]), defaults), profile, version, {})
        if setting != dict(defaults) and setting not in settings:
            settings.append(setting)
        index += 1
    return settings
