"""How a run goes on exactly where its last acknowledged trial ended: from the agent's checkpoint and the store's trials.

The checkpoint has the agent with all that is random in it. What else the learner knows (references, incumbents, repeats) comes
from the trials themselves. Trials that the checkpoint does not have yet are lived through again: the same learner chooses, and
what it chooses has to be what was tried; then it learns what was measured. All of that is exact on a CPU. Where it cannot be
(the operator did something in between), what was tried is remembered all the same, and that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.errors import UsageError
from brokertuner_tui.tuning.events import TrialKind
from brokertuner_tui.tuning.learner import Choice, Learner
from brokertuner_tui.workload.profile import Profile

if TYPE_CHECKING:  # importing the agent imports torch, importing the store SQLAlchemy
    from brokertuner_tui.agent.ddpg import DDPG
    from brokertuner_tui.store.rows import TrialRow


@dataclass(frozen=True, slots=True)
class Recalled:
    """What came of it."""

    trials: int
    """All trials of the run."""
    saved: int
    """Of those, how many the checkpoint had."""
    differing: tuple[int, ...]
    """Trials after it that the learner would have chosen otherwise now."""

    @property
    def exact(self) -> bool:
        """Whether the next proposal is the one that would have come without the interruption."""
        return not self.differing

    def told(self) -> str:
        """In words."""
        text = f"goes on after trial {self.trials}"
        if not self.exact:
            numbers = ", ".join(map(str, self.differing[:5])) + (", ..." if len(self.differing) > 5 else "")
            text += f"; trials {numbers} were remembered, though the agent would choose otherwise now"
        return text


def outcome_of(row: TrialRow) -> Outcome:
    """What a trial did, as far as anybody learns from it (the telemetry's reading aside)."""
    return Outcome(
        knobs=dict(row.knobs),
        profile=Profile.from_dict(row.profile),
        version=row.version,
        verdict=Verdict(row.verdict),
        reason=row.reason,
        applied=row.applied,
        window=row.window,
        usage=row.usage,
        sample=None,
        timings=row.timings,
    )  # whether it was cut short does not matter any more: what was to be put back was


def broke_slo(row: TrialRow) -> bool:
    """Whether a trial was marked down since it broke the SLO."""
    return "slo" in row.reward_terms


def restarts_of(rows: Sequence[TrialRow]) -> list[float]:
    """When the broker was restarted, as far as the trials tell: at the trial's end each, seconds since the epoch."""
    found, before = [], 0
    for row in rows:
        found += [row.at] * max(0, row.broker_restarts - before)
        before = row.broker_restarts
    return found


def load_agent(folder: Path, trials: int, new: Callable[[], DDPG], device: str) -> tuple[DDPG, int, str]:
    """The agent of a run that has `trials` trials: the agent, how many of them it has seen, and what there is to say of it.

    Args:
        folder: its checkpoint.
        new: an agent that knows nothing, as the run began with.
    """
    from brokertuner_tui.agent.ddpg import DDPG

    if not folder.exists() and not folder.with_name(f"{folder.name}.previous").exists():
        return new(), 0, f"there is no checkpoint of the agent: it lives through all {trials} trials again" if trials else ""
    try:
        agent = DDPG.load(folder, device=device)
        seen = int(agent.extra.get("trials", "-1"))
    except (UsageError, ValueError) as error:
        return new(), 0, f"{error}; the agent lives through all {trials} trials again"
    if not 0 <= seen <= trials or (agent.observation_size, agent.action_size) != _sizes(new):
        return new(), 0, f"the checkpoint {folder} is not of this run: the agent lives through all {trials} trials again"
    return agent, seen, agent.notice


def recall(learner: Learner, rows: Sequence[TrialRow], saved: int) -> Recalled:
    """Brings `learner` to where it was after the last of `rows`; its agent has seen the first `saved` of them."""
    differing = []
    now = learner.pinned
    for row in rows:
        outcome, broke = outcome_of(row), broke_slo(row)
        if row.number <= saved:
            learner.recall(row.number, TrialKind(row.kind), row.agent.source, outcome, broke=broke)
            continue
        learner.pin_all(row.pinned if row.pinned is not None else now)
        choice = _choose_again(learner, row, outcome)
        if choice.knobs != outcome.knobs:
            differing.append(row.number)
            choice = _as_recorded(row)
        learner.learn(row.number, choice, outcome, broke=broke)
    learner.pin_all(now)
    return Recalled(len(rows), saved, tuple(differing))


def _choose_again(learner: Learner, row: TrialRow, outcome: Outcome) -> Choice:
    if row.agent.source == "in force":
        return learner.watch(outcome.profile, outcome.knobs)
    if row.agent.source == "operator":
        learner.try_next(outcome.knobs)
    return learner.choose(outcome.profile)


def _as_recorded(row: TrialRow) -> Choice:
    seen = np.array(row.observation, dtype=np.float32) if row.observation else None
    return Choice(TrialKind(row.kind), dict(row.knobs), seen, row.agent.source, row.agent.noise, row.agent.why)


def _sizes(new: Callable[[], DDPG]) -> tuple[int, int]:
    agent = new()
    return agent.observation_size, agent.action_size
