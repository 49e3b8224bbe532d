"""Loads that nobody has seen: how many trials of a run are worse than leaving the broker alone?

    python -m benchmarks.unseen --mosquitto PATH [--loads 20] [--trials 15] [--seconds 1] [--seed 0] [--json]

Draws profiles at random over wide ranges, every third one two loads at once, and tunes each with the product's agent and
learner on the real broker. The default is measured again after every fifth trial, beside the run. A trial is worse than the
default where its on-time goodput is below 0.97 of the default's by more than two standard errors of the difference. Target:
95 % of the trials are not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from brokertuner_tui.agent.ddpg import DDPG
from brokertuner_tui.agent.presets import config_for
from brokertuner_tui.config.settings import BrokerSettings, Settings, TuningSettings
from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.env.presets import make_preset
from brokertuner_tui.env.testbed import Testbed
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import CATALOGUE, changed
from brokertuner_tui.tuning.events import TrialKind
from brokertuner_tui.tuning.learner import Learner
from brokertuner_tui.workload import limits
from brokertuner_tui.workload.profile import Profile, Workload
from brokertuner_tui.workload.window import Window, batch_means_stderr

_NO_WORSE = 0.97
_DEFAULT_EVERY = 5
_MOST_DELIVERIES_PER_S, _MOST_BYTES_PER_S = 30_000.0, 60e6
"""What two cores can make and carry beside the broker."""


def draw(rng: np.random.Generator, name: str, client_rtt_ms: float) -> Profile:
    """One steady load; open loops stay below what the machine can make."""

    def whole(low: float, high: float) -> int:
        return round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))

    publishers, subscribers, payload = whole(1, 50), whole(1, 50), whole(24, 16_384)
    profile = Profile(
        name,
        publishers=publishers,
        subscribers=subscribers,
        topics=whole(1, max(publishers, subscribers)),
        qos=int(rng.choice([0, 1, 1, 2])),
        payload_bytes=payload,
        window=whole(10, 500),
        client_rtt_ms=client_rtt_ms,
        clean_session=bool(rng.random() < 0.9),
        protocol=int(rng.choice([4, 5])),
        slo_ms=float(whole(5, 500)),
    )
    if rng.random() < 0.25:
        return profile
    most = min(_MOST_DELIVERIES_PER_S, _MOST_BYTES_PER_S / payload) / max(1.0, profile.fan_out)
    burst = (0.2, 0.8) if rng.random() < 0.2 else None
    return replace(profile, rate=float(whole(20, max(21, most))), burst=burst)


def draw_load(rng: np.random.Generator, index: int) -> Profile:
    """One load, or every third time two at once."""
    client_rtt_ms = float(rng.choice([0, 0, 0, 10, 50, 100]))
    while True:
        parts = [draw(rng, f"load {index} {part}", client_rtt_ms) for part in ("ab" if index % 3 == 2 else "a")]
        profile = Profile.mix(f"load {index}", parts) if len(parts) > 1 else replace(parts[0], name=f"load {index}")
        # What no message can get through in time tells nothing.
        if all(part.fan_out > 0 for part in parts):
            limits.check(profile)
            return profile


@dataclass(frozen=True)
class Tried:
    """One trial beside the default."""

    load: int
    number: int
    kind: str
    source: str
    on_time_per_s: float
    default_per_s: float
    stderr: float
    """Of the difference."""
    verdict: str
    changed: dict[str, object]

    @property
    def worse(self) -> bool:
        """Whether leaving the broker alone would have been better, beyond the noise."""
        return self.on_time_per_s < _NO_WORSE * self.default_per_s - 2 * self.stderr


def _rate(outcome: Outcome) -> float:
    return outcome.window.on_time_per_s if outcome.window is not None and outcome.verdict is Verdict.OK else 0.0


def _stderr(window: Window | None) -> float:
    return batch_means_stderr(window.on_time_slices, window.slice_s) if window is not None else 0.0


def tune(mosquitto: Path | None, profile: Profile, index: int, trials: int, seconds: float, seed: int) -> list[Tried]:
    """A short run on one load, its trials beside the default's."""
    settings = Settings(broker=BrokerSettings(mosquitto=mosquitto), tuning=TuningSettings(step_interval_sec=seconds), seed=seed)
    preset = make_preset("slo", settings.reward)
    agent = DDPG(len(preset.observation_names), len(CATALOGUE), config_for("slo", settings.agent), seed=seed)
    measured: list[tuple[int, str, str, Outcome]] = []
    with tempfile.TemporaryDirectory() as folder:
        bed = Testbed(settings, Workload.steady(profile), Path(folder))
        try:
            bed.open()
            bed.start_load()
            learner = Learner(agent, preset, bed.version, bed.defaults, {})
            default = []
            for number in range(1, trials + 1):
                choice = learner.choose(profile)
                outcome = bed.trial(choice.knobs, seconds=seconds)
                learner.learn(number, choice, outcome)
                measured.append((number, str(choice.kind), choice.source, outcome))
                if choice.kind is TrialKind.DEFAULT and outcome.verdict is Verdict.OK:
                    default.append(outcome)
                if number % _DEFAULT_EVERY == 0 or number == trials:
                    default.append(bed.trial(bed.defaults, seconds=seconds))
            base = bed.defaults
        finally:
            bed.close()
    rates = [_rate(outcome) for outcome in default]
    mean = statistics.mean(rates)
    spread = max(statistics.stdev(rates), statistics.mean(_stderr(outcome.window) for outcome in default))
    return [
        Tried(
            index,
            number,
            kind,
            source,
            _rate(outcome),
            mean,
            (_stderr(outcome.window) ** 2 + spread**2 / len(rates)) ** 0.5,
            str(outcome.verdict),
            {name: outcome.knobs[name] for name in changed(base, outcome.knobs)},
        )
        for number, kind, source, outcome in measured
        if kind != TrialKind.DEFAULT and outcome.verdict is not Verdict.INCONCLUSIVE
    ]


def describe(profile: Profile) -> str:
    """In a line."""
    return " + ".join(
        f"{part.publishers}→{part.subscribers}/{part.topics} QoS {part.qos} {part.payload_bytes} B "
        f"{f'{part.rate:,.0f}/s' if part.rate else f'closed loop, window {part.window}'}"
        f"{f' rtt {part.client_rtt_ms:g}' if part.client_rtt_ms else ''}{' burst' if part.burst else ''} slo {part.slo_ms:g}"
        for part in profile.members
    )


def main() -> None:
    """Draws, tunes, and prints the share of trials that are no worse than the default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mosquitto", type=Path)
    parser.add_argument("--loads", type=int, default=20)
    parser.add_argument("--trials", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a window")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="a line for each load")
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    tried: list[Tried] = []
    for index in range(given.loads):
        profile = draw_load(rng, index)
        try:
            mine = tune(given.mosquitto, profile, index, given.trials, given.seconds, given.seed + index)
        except TunerError as error:
            print(f"load {index}: {describe(profile)}: {error}", flush=True)
            continue
        tried += mine
        worse = [trial for trial in mine if trial.worse]
        best = max((trial.on_time_per_s for trial in mine), default=0.0)
        if given.json:
            rows = [asdict(trial) | {"worse": trial.worse} for trial in mine]
            print(json.dumps({"load": index, "profile": profile.as_dict(), "trials": rows}), flush=True)
            continue
        default = mine[0].default_per_s if mine else 0.0
        figures = f"default {default:,.0f}/s, best {best:,.0f}/s, worse {len(worse)} of {len(mine)}"
        print(f"load {index}: {describe(profile)}: {figures}", flush=True)
        for trial in sorted(worse, key=lambda trial: trial.on_time_per_s)[:3]:
            share = trial.on_time_per_s / trial.default_per_s
            print(f"    trial {trial.number} ({trial.source}): {share:.2f} of the default with {trial.changed}", flush=True)
    good = sum(not trial.worse for trial in tried) / max(1, len(tried))
    print(f"no worse than the default: {100 * good:.1f} % of {len(tried)} trials (target 95 %)")


if __name__ == "__main__":
    main()
