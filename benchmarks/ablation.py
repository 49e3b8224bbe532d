"""What each part of the agent earns: the `slo` agent without it, on the model of recorded trials (`bench/surrogate/`).

`python benchmarks/ablation.py [--seeds K] [--trials N] [--only NAME ...] [--unprepared] [--json]`. With `--unprepared`, no
variant has the settings made for the load to begin with: then what is learned has to do it all.

Figures are means over loads, versions and seeds, from the model's noiseless means, as shares of the best known: what the
setting brings in time that would be left in force (final), what the trials brought on average (while tuning), what the actor's
own action brings after the last trial (actor); trials to 95 % of the best known; trials that brought nothing; restarts.
docs/agent.md has the table. A real broker has the last word: `brokertuner-tui bench`.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

from brokertuner_tui.agent.ddpg import DDPG
from brokertuner_tui.agent.presets import config_for
from brokertuner_tui.bench.surrogate.bed import open_bed
from brokertuner_tui.bench.surrogate.model import best_known, model_of
from brokertuner_tui.config.workloads import resolve, shipped_tables
from brokertuner_tui.env.slo import SloPreset
from brokertuner_tui.knobs.catalogue import CATALOGUE, KnobValues, Version, parse_version
from brokertuner_tui.knobs.codec import decode
from brokertuner_tui.tuning.learner import Learner

WHOLE = "whole"
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    WHOLE: {},
    "gamma 0.99, target networks (the textbook's)": {"gamma": 0.99, "tau": 0.005},
    "nothing known of the knobs (box space)": {"space": "box"},
    "no warm-up": {"warm_up": 0},
    "warm-up of 8, with a Sobol spread": {"warm_up": 8},
    "one critic": {"members": 1, "optimism": 0.0, "caution": 0.0},
    "no layer norm": {"layer_norm": False},
    "one update a trial": {"updates_per_trial": 1},
    "no imitation": {"imitation": 0.0},
    "20 updates a trial": {"updates_per_trial": 20},
    "no optimism": {"optimism": 0.0},
    "no caution": {"caution": 0.0},
    "no candidates: the actor's action with noise": {"candidates": 0},
    "no pace: explores in every trial": {"patience": 0},
}
LOADS = ("telemetry", "pipeline", "wan", "fanout")
VERSIONS = ("2.0.21", "2.1.2")


@dataclass(frozen=True, slots=True)
class Job:
    """One run."""

    variant: str
    load: str
    version: Version
    seed: int
    trials: int
    unprepared: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What it came to; shares of the best known."""

    variant: str
    load: str
    version: str
    seed: int
    final: float
    while_tuning: float
    actor: float
    to_near: int | None
    dead: int
    below_default: int
    restarts: int


def run(job: Job) -> Found:
    """One seed of one variant on one load."""
    bed = open_bed(resolve(dict(shipped_tables()))[job.load], job.version, 1000 + job.seed)
    preset, model = SloPreset(), model_of(job.load)
    changes: dict[str, Any] = {**({"warm_up": 0} if job.unprepared else {}), **VARIANTS[job.variant]}
    config = replace(config_for("slo"), **changes)
    agent = DDPG(len(preset.observation_names), len(CATALOGUE), config, seed=job.seed)
    learner = Learner(agent, preset, job.version, bed.defaults, {})
    best_per_s = best_known(job.load, job.version)[1]

    def worth(knobs: KnobValues) -> float:
        return model.expected(job.version, knobs).on_time_per_s / best_per_s

    shares, restarts = [], 0
    for number in range(1, job.trials + 1):
        choice = learner.choose(bed.profile)
        outcome = bed.trial(choice.knobs)
        shares.append(worth(choice.knobs) if outcome.window is not None else 0.0)
        restarts += outcome.applied is not None and outcome.applied.how == "restart"
        learner.learn(number, choice, outcome)
        seen = preset.observe(outcome)
    best, default = learner.best(bed.profile), worth(bed.defaults)
    actor = agent.nets.act(seen[: preset.context_size] if config.context_size else seen)
    return Found(
        variant=job.variant,
        load=job.load,
        version=".".join(str(part) for part in job.version),
        seed=job.seed,
        final=worth(best.knobs) if best else default,
        while_tuning=statistics.fmean(shares),
        actor=worth(decode(actor)),
        to_near=next((number for number, share in enumerate(shares, start=1) if share >= 0.95), None),
        dead=sum(share < 0.01 for share in shares),
        below_default=sum(share < 0.97 * default for share in shares),
        restarts=restarts,
    )


def line(variant: str, found: Iterable[Found]) -> str:
    """A row of the table."""
    rows = list(found)

    def mean(name: str) -> float:
        return statistics.fmean(getattr(row, name) for row in rows)

    near = statistics.median(row.to_near or 10_000 for row in rows)
    shares = " | ".join(f"{mean(name):.3f}" for name in ("final", "while_tuning", "actor"))
    worst = min(row.while_tuning for row in rows)
    when = "never" if near > 1000 else f"{near:g}"
    return f"| {variant} | {shares} | {worst:.2f} | {when} | {mean('dead'):.1f} | {mean('restarts'):.0f} |"


def main() -> None:
    """Runs the variants one after the other; two processes share the runs of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--loads", nargs="+", default=LOADS)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--unprepared", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    print(
        "| variant | final | while tuning | actor | worst while tuning | trials to 95 % | nothing in time | restarts |",
        flush=True,
    )
    print("|---|---|---|---|---|---|---|---|", flush=True)
    with ProcessPoolExecutor(2) as pool:
        for variant in arguments.only:
            if arguments.unprepared and "warm_up" in VARIANTS[variant]:
                continue
            jobs = [
                Job(variant, load, parse_version(version), seed, arguments.trials, arguments.unprepared)
                for load in arguments.loads
                for version in VERSIONS
                for seed in range(arguments.seeds)
            ]
            found = list(pool.map(run, jobs))
            if arguments.json:
                for row in found:
                    print(json.dumps(asdict(row)), flush=True)
            print(line(variant, found), flush=True)


if __name__ == "__main__":
    main()
