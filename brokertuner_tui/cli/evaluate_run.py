"""Runs a trained agent without learning, and sums up what it earned."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from brokertuner_tui.agent.torch_import import import_torch_quietly
from brokertuner_tui.cli import output
from brokertuner_tui.cli.signals import StopSignals
from brokertuner_tui.config.settings import Settings
from brokertuner_tui.env.mosquitto_env import EnvConfig, MosquittoBrokerEnv
from brokertuner_tui.errors import ExitCode, UsageError
from brokertuner_tui.knobs.catalogue import CATALOGUE
from brokertuner_tui.store.plain import finite
from brokertuner_tui.workload.profile import Workload


@dataclass(slots=True)
class Episode:
    """What one episode came to."""

    episode: int
    reward: float = 0.0
    """The sum over its steps."""
    steps: int = 0
    failed: int = 0
    inconclusive: int = 0
    seconds: float = 0.0
    _goodput: list[float] = field(default_factory=list)

    def add(self, reward: float, info: dict[str, Any]) -> None:
        """A step."""
        self.steps += 1
        self.reward += reward
        self.failed += info["verdict"] == "failed"
        self.inconclusive += info["verdict"] == "inconclusive"
        if info["window"] is not None:
            self._goodput.append(info["window"]["on_time_per_s"])

    @property
    def on_time_per_s(self) -> float | None:
        """Mean of the steps that could be measured."""
        return statistics.fmean(self._goodput) if self._goodput else None

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        values = {name: value for name, value in asdict(self).items() if not name.startswith("_")}
        mean = self.reward / self.steps if self.steps else None
        made: dict[str, Any] = finite({"event": "episode", **values, "mean_reward": mean, "on_time_per_s": self.on_time_per_s})
        return made


def evaluate(
    settings: Settings, workload: Workload, model_path: Path, episodes: int, *, preset: str | None, as_json: bool
) -> int:
    """A line an episode, then mean and standard deviation over the episodes (population, as Stable-Baselines3 has it).

    Raises:
        UsageError: the checkpoint is not one, or does not fit the preset.
        TunerError: broker or load cannot be brought up.
    """
    import_torch_quietly()
    from brokertuner_tui.agent.ddpg import DDPG

    agent = DDPG.load(model_path, device=settings.agent.device)
    if agent.notice:
        output.say(agent.notice)
    trained = agent.extra.get("preset", settings.tuning.preset)
    if preset is not None and preset != trained:
        raise UsageError(f"--preset {preset}: the agent in {model_path} was trained with preset {trained}")
    config = EnvConfig(
        preset=trained,
        workload=workload,
        step_interval_sec=settings.tuning.step_interval_sec,
        max_steps=settings.tuning.max_steps,
        seed=settings.seed,
        mosquitto=settings.broker.mosquitto,
        settings=settings,
    )
    env = MosquittoBrokerEnv(config)
    wanted = (len(env.preset.observation_names), len(CATALOGUE))
    if (agent.observation_size, agent.action_size) != wanted:
        raise UsageError(
            f"the agent in {model_path} sees {agent.observation_size} numbers and sets {agent.action_size}; "
            f"a broker under preset {trained} has {wanted[0]} and {wanted[1]}"
        )
    done: list[Episode] = []
    with StopSignals() as signals:
        try:
            for number in range(1, episodes + 1):
                episode = _run(env, agent, Episode(number), settings.seed, signals)
                if signals.received is not None:
                    output.say(f"stopped in episode {number}, after {episode.steps} steps")
                    break
                done.append(episode)
                _show(episode, as_json)
        finally:
            env.close()
    if done:
        _sum_up(done, as_json)
    return ExitCode.DONE if signals.received is None else signals.exit_code


def _run(env: MosquittoBrokerEnv, agent: Any, episode: Episode, seed: int, signals: StopSignals) -> Episode:
    began = time.monotonic()
    observation, _ = env.reset(seed=seed if episode.episode == 1 else None)
    ended = False
    while not ended and signals.received is None:
        action, _ = agent.predict(observation, deterministic=True)
        observation, reward, terminated, truncated, info = env.step(action)
        episode.add(float(reward), info)
        ended = terminated or truncated
    episode.seconds = time.monotonic() - began
    return episode


def _show(episode: Episode, as_json: bool) -> None:
    if as_json:
        output.put_json(episode.as_data())
        return
    on_time = "" if episode.on_time_per_s is None else f", {episode.on_time_per_s:,.0f} messages/s on time"
    faults = "".join(
        f", {count} {word}" for count, word in ((episode.failed, "failed"), (episode.inconclusive, "inconclusive")) if count
    )
    output.put(
        f"episode {episode.episode}: reward {episode.reward:.4f} in {episode.steps} steps, "
        f"{episode.reward / max(1, episode.steps):.4f} a step{on_time}{faults}\n"
    )


def _sum_up(episodes: list[Episode], as_json: bool) -> None:
    rewards = [episode.reward for episode in episodes]
    mean, deviation = statistics.fmean(rewards), statistics.pstdev(rewards)
    if as_json:
        steps = sum(episode.steps for episode in episodes)
        line = {"event": "summary", "episodes": len(episodes), "mean_reward": mean, "std_reward": deviation, "steps": steps}
        output.put_json(finite(line))
    else:
        output.put(f"mean reward {mean:.4f}, standard deviation {deviation:.4f}, {len(episodes)} episodes\n")
