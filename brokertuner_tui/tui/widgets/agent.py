"""What the agent does and why."""

from __future__ import annotations

from textual.content import Content

from brokertuner_tui.tui import ink
from brokertuner_tui.tui.format import DASH, compact, grouped, sparkline
from brokertuner_tui.tui.ink import BEST, BETTER, BOLD, QUIET, WORSE, line
from brokertuner_tui.tui.model import Model
from brokertuner_tui.tui.widgets.pane import Pane


def reward_domain(model: Model) -> tuple[float, float]:
    """The scale of the reward's sparkline: 0 to 1, or as far beyond as was seen, in tenths."""
    rewards = [point.reward for point in model.points if point.reward is not None]
    low, high = min(rewards, default=0.0), max(rewards, default=1.0)
    return min(0.0, int(low * 10 - 0.999) / 10), max(1.0, int(high * 10 + 0.999) / 10)


def agent_view(model: Model, width: int, height: int) -> Content:
    """Reward by trial, the agent's figures, and its reason."""
    last = model.last
    if last is None:
        return line(("the agent waits for the first trial", QUIET))
    agent = last.agent
    low, high = reward_domain(model)
    rewards = [point.reward for point in model.points]
    now = next((reward for reward in reversed(rewards) if reward is not None), None)
    best = max((reward for reward in rewards if reward is not None), default=None)
    text = line(
        (DASH if now is None else f"{now:+.2f}", BOLD),
        (f" best {best:+.2f}" if best is not None else "", BEST),
        (f"  {low:g} to {high:g}", QUIET),
    )
    room = max(6, width - text.cell_length - 8)
    first = line(("reward ", QUIET), (sparkline(rewards, room, low, high), "$primary"), " ", text)
    figures = [
        line(("source ", QUIET), agent.source),
        line(("noise ", QUIET), f"{agent.noise:.2f}"),
        line(("critic loss ", QUIET), _loss(agent.critic_loss)),
        line(("buffer ", QUIET), grouped(agent.buffer)),
        line(("actor loss ", QUIET), _loss(agent.actor_loss)),
        line(("updates ", QUIET), grouped(agent.updates)),
    ]
    why = line(("why: ", QUIET), agent.why or DASH)
    if height < 3:
        return ink.lines([ink.fit([first], width), ink.fit([why, figures[1], figures[2]], width)])
    rows = [first, ink.fit(figures[:4], width), why.truncate(width, ellipsis=True)]
    if height >= 5:
        rows.insert(2, ink.fit([*figures[4:], _terms(model)], width))
    return ink.lines(rows)


def _terms(model: Model) -> Content:
    assert model.last is not None, "only called with a trial"
    terms = [(name, value) for name, value in model.last.reward_terms.items() if abs(value) >= 0.005]
    parts = [line((f"{name} ", QUIET), (f"{value:+.2f}", BETTER if value > 0 else WORSE)) for name, value in terms]
    return ink.fit(parts, 200, "  ")


def _loss(loss: float | None) -> str:
    return DASH if loss is None else f"{loss:.4f}" if abs(loss) < 1 else compact(loss)


class AgentPane(Pane):
    """The pane."""

    NAME = "agent"
    HELP = (
        "The DDPG agent: the reward of every trial on a fixed scale, where its last proposal came from, how much it "
        "explores (noise), how well its critic predicts (loss), how much it remembers (buffer), and why it tries this."
    )

    def facts(self, model: Model) -> object:
        """See `Pane`."""
        return len(model.points), id(model.last)

    def view(self, model: Model, width: int, height: int) -> Content:
        """See `Pane`."""
        return agent_view(model, width, height)
