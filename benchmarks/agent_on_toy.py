"""Agents against random search and Sobol points on the toy broker: `python benchmarks/agent_on_toy.py [--json]`.

For iterating on the agent; see `benchmarks/toy_broker.py` for what this can and cannot show.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.toy_broker import PROFILES, VERSIONS, ToyBroker
from brokertuner_tui.agent.config import AgentConfig
from brokertuner_tui.agent.ddpg import DDPG
from brokertuner_tui.agent.presets import config_for
from brokertuner_tui.env.presets import make_preset
from brokertuner_tui.knobs.catalogue import Version, defaults
from brokertuner_tui.knobs.codec import decode, encode
from brokertuner_tui.tuning.guard.traps import evade

Propose = Callable[[np.ndarray], np.ndarray]


def run_agent(toy: ToyBroker, config: AgentConfig, seed: int, trials: int, guarded: bool = True) -> dict[str, Any]:
    """One run as the session does it: the default first, then proposals through the guard."""
    preset = make_preset("slo" if config.context_size else "classic")
    agent = DDPG(len(preset.observation_names), 11, config, seed=seed)
    knobs, outcome = defaults(toy.version), toy.trial(defaults(toy.version))
    seen = preset.observe(outcome)
    true, spent, sources = [toy.on_time_per_s(knobs)], [], ["default"]
    agent.remember(seen, encode(knobs), preset.reward(outcome, None).value, seen)
    for _ in range(trials - 1):
        started = time.perf_counter()
        proposal = agent.propose(seen)
        knobs = decode(proposal.action)
        knobs = evade(knobs, toy.profile, toy.version, {}) if guarded else knobs
        outcome = toy.trial(knobs)
        sources.append(proposal.source)
        if outcome.window is None:
            agent.avoid(seen, encode(knobs))
            true.append(0.0)
            continue
        following = preset.observe(outcome)
        agent.remember(seen, encode(knobs), preset.reward(outcome, None).value, following)
        agent.update()
        seen = following
        true.append(toy.on_time_per_s(knobs))
        spent.append(time.perf_counter() - started)
    final = toy.on_time_per_s(evade(decode(agent.propose(seen, explore=False).action), toy.profile, toy.version, {}))
    return {"true": true, "final": final, "sources": sources, "overhead_s": float(np.median(spent))}


def run_points(toy: ToyBroker, points: np.ndarray) -> dict[str, Any]:
    """A fixed list of actions; the final one is the best as measured."""
    knobs = [defaults(toy.version)] + [evade(decode(point), toy.profile, toy.version, {}) for point in points]
    measured = [outcome.window.on_time_per_s if (outcome := toy.trial(k)).window else 0.0 for k in knobs]
    return {"true": [toy.on_time_per_s(k) for k in knobs], "final": toy.on_time_per_s(knobs[int(np.argmax(measured))])}


def one(job: tuple[str, str, Version, int, int, Mapping[str, Any]]) -> dict[str, Any]:
    """One cell."""
    method, workload, version, seed, trials, changes = job
    toy = ToyBroker(PROFILES[workload], version, seed)
    if method == "random":
        result = run_points(toy, np.random.default_rng(seed).uniform(-1, 1, (trials - 1, 11)))
    elif method == "sobol":
        from torch.quasirandom import SobolEngine

        engine = SobolEngine(11, scramble=True, seed=seed)  # type: ignore[no-untyped-call]
        result = run_points(toy, 2 * engine.draw(trials - 1).double().numpy() - 1)
    else:
        result = run_agent(toy, replace(config_for(method), **changes), seed, trials)
    return result | {"method": method, "workload": workload, "version": version, "seed": seed}


def best_known(workload: str, version: Version) -> float:
    """The best of some thousand points, on-time deliveries a second."""
    toy, rng = ToyBroker(PROFILES[workload], version, 0), np.random.default_rng(0)
    big = defaults(version) | {"max_inflight_messages": 4000, "max_queued_messages": 200_000}
    settings = [big, big | {"set_tcp_nodelay": True}]
    for base in [encode(setting) for setting in settings]:
        for _ in range(1500):
            settings.append(decode(np.clip(base + rng.normal(0, 0.4, 11) * (rng.random(11) < 0.3), -1, 1)))
    return max(toy.on_time_per_s(evade(s, toy.profile, version, {})) for s in settings)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--methods", default="random,sobol,classic,slo")
    parser.add_argument("--workloads", default="telemetry,pipeline,wan,fanout,bulk,burst")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=JSON", help="change the agent's config")
    options = parser.parse_args()
    changes = {key: json.loads(value) for key, _, value in (item.partition("=") for item in options.set)}
    workloads = options.workloads.split(",")
    best = {(w, v): best_known(w, v) for w in workloads for v in VERSIONS}
    jobs = [
        (method, workload, version, seed, options.trials, changes)
        for method in options.methods.split(",")
        for workload in workloads
        for version in VERSIONS
        for seed in range(options.seeds)
    ]
    with Pool(options.jobs) as pool:
        results = pool.map(one, jobs, chunksize=1)
    rows = []
    for method in options.methods.split(","):
        for workload in [*workloads, "all"]:
            cells = [r for r in results if r["method"] == method and workload in (r["workload"], "all")]
            share = [np.array(r["true"]) / best[r["workload"], r["version"]] for r in cells]
            final = [r["final"] / best[r["workload"], r["version"]] for r in cells]
            to_95 = [int(np.argmax(s >= 0.95)) + 1 if (s >= 0.95).any() else options.trials for s in share]
            rows.append(
                {
                    "method": method,
                    "workload": workload,
                    "final": float(np.mean(final)),
                    "worst_final": float(np.min(final)),
                    "while_tuning": float(np.mean([s.mean() for s in share])),
                    "last_ten": float(np.mean([s[-10:].mean() for s in share])),
                    "dead": float(np.mean([(s < 0.01).sum() for s in share])),
                    "to_95": float(np.median(to_95)),
                    "overhead_ms": 1000 * float(np.median([r.get("overhead_s", 0.0) for r in cells])),
                }
            )
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    columns = ("final", "worst_final", "while_tuning", "last_ten", "dead", "to_95", "overhead_ms")
    print(f"{'method':8} {'workload':10} " + " ".join(f"{name:>12}" for name in columns))
    for row in rows:
        print(f"{row['method']:8} {row['workload']:10} " + " ".join(f"{row[name]:12.3f}" for name in columns))


if __name__ == "__main__":
    main()
