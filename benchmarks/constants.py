"""What a constant could bring at best on `day`: `python -m benchmarks.constants FOLDER`, a finished benchmark of steady loads.

Whether `set_tcp_nodelay` is on decides most. Of the settings that methods ended with, those with it and those without are told
apart: for each load and version, the highest confirmed share of the best known of the seed. A made-up constant that has the
best of one kind under every load at once is better than any of them.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from brokertuner_tui.bench import keep
from brokertuner_tui.bench.figures import best_known, pooled
from brokertuner_tui.config.workloads import resolve, shipped_tables

KNOB = "set_tcp_nodelay"


def main() -> None:
    """Prints a line for each version and kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    plan, results = keep.read(parser.parse_args().folder)
    day = [phase.profile.name for phase in resolve(dict(shipped_tables()))["day"].phases]
    most: dict[tuple[str, bool, str], float] = {}
    for cell in plan.cells():
        found, units = pooled(results, cell), results.of(cell)
        best = best_known(found.values())
        for method, record in found.items():
            if best and method in units:
                at = (cell.version, bool(units[method].best[record.profile][KNOB]), record.profile)
                most[at] = max(most.get(at, 0.0), statistics.fmean(record.on_time_per_s) / best)
    for version in plan.versions:
        for is_on in (True, False):
            shares = [most.get((version, is_on, name), 0.0) for name in day]
            told = ", ".join(f"{name} {share:.2f}" for name, share in zip(day, shares, strict=True))
            print(f"{version}, {KNOB} {'on' if is_on else 'off'}: {statistics.fmean(shares):.3f} of the day at best ({told})")


if __name__ == "__main__":
    main()
