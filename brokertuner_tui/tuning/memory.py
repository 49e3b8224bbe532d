"""What the store knows of loads like the one that runs: trials of earlier runs, found by what the load looks like.

A load is the same where the numbers of its context are (`env.slo.context`, `agent.search.alike`), whatever it is called; the
broker's version line is among them. What was judged in another way (other weights of the reward, another generator, live
traffic against a load of our own) is not comparable, and is left out. Rewards are dimensionless and taken as they are; how far
they are believed is the agent's affair (`agent/earlier.py`).

All is read once, when the session begins, and only what was measured before the run began: so a run that is resumed finds
the same again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from brokertuner_tui.config.settings import RewardSettings, Settings
from brokertuner_tui.env.slo import CONTEXT_NAMES, context
from brokertuner_tui.knobs.catalogue import Version
from brokertuner_tui.store.earlier import EarlierRun, EarlierTrial
from brokertuner_tui.store.store import Store
from brokertuner_tui.workload import live
from brokertuner_tui.workload.profile import Profile, Workload

if TYPE_CHECKING:
    from brokertuner_tui.agent.earlier import Earlier

_MOST_RUNS = 25
_MOST_TRIALS = 300
"""Of one load."""
_MOST_OF_A_RUN = 40
_MOST_AVOIDED = 50


class Memory:
    """Earlier trials, to be asked for by load.

    Args:
        trials: the newest first.
        tell: hears, in one line, what is known of a load.
    """

    def __init__(self, trials: Sequence[EarlierTrial], tell: Callable[[str], None] = lambda message: None) -> None:
        self._trials = list(trials)
        self._tell = tell

    def like(self, observation: ArrayLike, name: str) -> Earlier | None:
        """What earlier runs measured under the load that `observation` describes; None: nothing. Of each run the best, and
        some of the rest, 300 at most, newest runs first; what the broker did not live with is among it as what to avoid.

        Args:
            observation: (n,), of the preset `slo`: its front is the load's context.
            name: what the load is called here, for what is told.
        """
        from brokertuner_tui.agent.earlier import Earlier
        from brokertuner_tui.agent.search import alike

        seen = np.asarray(observation, dtype=np.float32)
        fitting = [trial for trial in self._trials if len(trial.observation) == len(trial.next_observation) == len(seen)]
        failed = [trial for trial in self._trials if trial.verdict == "failed" and len(trial.observation) == len(seen)]
        size = len(CONTEXT_NAMES)

        def of_load(trials: list[EarlierTrial]) -> list[EarlierTrial]:
            if not trials:
                return []
            contexts = np.array([trial.observation[:size] for trial in trials], dtype=np.float32)
            return [trial for trial, near in zip(trials, alike(contexts, seen[:size]), strict=True) if near]

        taught = [trial for trial in of_load(fitting) if trial.verdict == "ok" and trial.reward is not None and not trial.broke]
        known = _informative(taught)
        if not known:
            return None
        worked = {trial.action for trial in taught}
        bad = [*of_load(failed), *(trial for trial in of_load(fitting) if trial.broke)]
        known.reverse()
        runs = len({trial.run for trial in known})
        self._tell(
            f"knows this load ({name}) from {len(known)} trial{'s' * (len(known) > 1)} of {runs} earlier run{'s' * (runs > 1)}"
        )
        return Earlier(
            np.array([trial.observation for trial in known], dtype=np.float32),
            np.array([trial.action for trial in known], dtype=np.float64),
            np.array([trial.reward for trial in known], dtype=np.float32),
            np.array([trial.next_observation for trial in known], dtype=np.float32),
            [np.array(trial.action) for trial in bad if trial.action not in worked][:_MOST_AVOIDED],
        )


def read_memory(
    store: Store,
    settings: Settings,
    workload: Workload,
    version: Version,
    *,
    run: str,
    before: float,
    tell: Callable[[str], None] = lambda message: None,
) -> Memory:
    """What was measured under the loads of `workload`, or the like, before a moment.

    Args:
        run: the present run, which does not count.
        before: seconds since the epoch.

    Raises:
        StoreError: it cannot be read.
    """
    wanted = [context(phase.profile, version) for phase in workload.phases]
    is_live = workload.name == live.NAME
    chosen: dict[str, bool] = {}
    for earlier in store.earlier_runs(settings.tuning.preset, before):
        if earlier.id == run or is_live != (earlier.workload == live.NAME) or not _is_comparable(earlier.config, settings):
            continue
        if is_live or _has_one_of(earlier, wanted):
            chosen[earlier.id] = earlier.config.get("guard") == settings.guard.model_dump(mode="json")
        if len(chosen) == _MOST_RUNS:
            break
    trials = store.earlier_trials(list(chosen), before) if chosen else []
    # What broke another SLO may be good for this one: neither its reward nor the verdict says anything here.
    return Memory([trial for trial in trials if not trial.broke or chosen[trial.run]], tell)


def _is_comparable(config: Mapping[str, Any], settings: Settings) -> bool:
    """Whether a run with these settings judged as we do."""
    load, reward = config.get("load"), config.get("reward")
    if not isinstance(load, Mapping) or not isinstance(reward, Mapping):
        return False
    if load.get("generator") != settings.load.generator or load.get("side") != settings.load.side:
        return False
    try:
        return RewardSettings.model_validate(reward).slo == settings.reward.slo
    except ValueError:
        return False  # of another version of this program


def _has_one_of(run: EarlierRun, wanted: Sequence[Sequence[float]]) -> bool:
    from brokertuner_tui.agent.search import alike

    try:
        contexts = [context(Profile.from_dict(profile), run.version) for profile in run.profiles]
    except (TypeError, ValueError, KeyError):
        return False  # of another version of this program
    seen = np.array(contexts, dtype=np.float32)
    return any(alike(seen, np.array(numbers, dtype=np.float32)).any() for numbers in wanted)


def _informative(trials: Sequence[EarlierTrial]) -> list[EarlierTrial]:
    """Of each run the best half of what fits, and the rest spread over what it earned; the order stays."""
    by_run: dict[str, list[EarlierTrial]] = {}
    for trial in trials:
        by_run.setdefault(trial.run, []).append(trial)
    chosen: list[EarlierTrial] = []
    for mine in by_run.values():
        if len(mine) > _MOST_OF_A_RUN:
            ranks = sorted(range(len(mine)), key=lambda index: -(mine[index].reward or 0.0))
            half = _MOST_OF_A_RUN // 2
            spread = np.linspace(half, len(mine) - 1, _MOST_OF_A_RUN - half).round().astype(int)
            kept = {*ranks[:half], *(ranks[index] for index in spread)}
            mine = [trial for index, trial in enumerate(mine) if index in kept]
        chosen += mine
    return chosen[:_MOST_TRIALS]
