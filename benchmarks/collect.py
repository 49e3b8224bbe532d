"""Records real trials: many settings, each applied to a real Mosquitto under a real load and measured for half a second.

    python -m benchmarks.collect --journal trials.jsonl --mosquitto PATH [--mosquitto PATH ...] [--rounds 18] [--seed 1]
    python -m benchmarks.collect --journal trials.jsonl --pack brokertuner_tui/bench/surrogate/trials.csv.gz

A block is ten trials of one workload on one Mosquitto: the default as it is, and settings anywhere, of the warm-up's
distribution, near the default, near designed ones, and with the three important knobs varied alone. A round has a block for
each pair, in random order, so that a slow hour of the machine does not fall on one of them. The journal has a line a whole
block: ended at any moment, the same command goes on with the first block that is missing. `--pack` makes of it what the
surrogate is fitted to; the columns are described in `brokertuner_tui/bench/surrogate/dataset.py`.

Leave the machine alone meanwhile: trials that other processes disturbed are recognised and kept, but count little. Where that
cannot be, `sysctl kernel.sched_autogroup_enabled=0` and `nice -n -10` let broker and load come first.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil

from benchmarks.proposals import KINDS, propose
from brokertuner_tui.bench.surrogate.dataset import WINDOW_S, Figures, Recorded, write
from brokertuner_tui.broker.find import find_mosquitto, probe_version
from brokertuner_tui.config.load import load_settings
from brokertuner_tui.config.settings import Settings
from brokertuner_tui.config.workloads import get_workload
from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.env.testbed import Testbed
from brokertuner_tui.errors import ExitCode, TunerError
from brokertuner_tui.files import replace_file
from brokertuner_tui.knobs.catalogue import Version, parse_version
from brokertuner_tui.workload.profile import Workload
from brokertuner_tui.workload.window import Window

MAIN = ("telemetry", "pipeline", "wan", "fanout")
"""Have a block in every round."""
REST = ("bulk", "burst", "durable", "qos2")
"""In every other one."""
_LONGEST_REASON = 80
_SAME = tuple(field.name for field in fields(Figures) if field.name in Window.__dataclass_fields__)
"""What `Figures` takes over from a window as it is."""


class Block(NamedTuple):
    """What is recorded as a whole."""

    seed: int
    round: int
    version: Version
    workload: str


def plan(seed: int, rounds: int, versions: tuple[Version, ...], workloads: tuple[str, ...]) -> list[Block]:
    """The blocks in their order."""
    order, blocks = np.random.default_rng(seed), []
    for number in range(rounds):
        names = [name for name in workloads if name not in REST or number % 2 == 0]
        cells = [Block(seed, number, version, name) for version in versions for name in names]
        blocks += [cells[i] for i in order.permutation(len(cells))]
    return blocks


def record(block: Block, program: Path, workload: Workload) -> list[Recorded]:
    """The trials of one block.

    Raises:
        TunerError: broker or load do not start.
    """
    rng = np.random.default_rng([block.seed, block.round, *block.version, *block.workload.encode()])
    settings = Settings()
    settings = settings.model_copy(update={"broker": settings.broker.model_copy(update={"mosquitto": program})})
    with tempfile.TemporaryDirectory(prefix="btt-collect-") as folder:
        bed = Testbed(settings, workload, Path(folder))
        try:
            bed.open()
            bed.start_load()
            return [_trial(bed, str(kind), block, rng) for kind in rng.permutation(KINDS)]
        finally:
            bed.close()


def _trial(bed: Testbed, kind: str, block: Block, rng: np.random.Generator) -> Recorded:
    knobs = propose(kind, bed.profile, bed.version, rng)
    seconds = max(WINDOW_S, sum(bed.profile.burst or ()))  # a part of a burst says nothing
    at_s, began, busy_s = time.time(), time.perf_counter(), _busy_s()
    outcome = bed.trial(knobs, seconds=seconds)
    took_s = time.perf_counter() - began
    trial = to_record(outcome, kind, block, took_s=took_s, busy=(_busy_s() - busy_s) / took_s, at_s=at_s)
    if outcome.verdict is Verdict.OK:
        bed.broker.confirm()
        return trial
    bed.apply(bed.defaults)
    if bed.load.status().state in ("dead", "stopped"):
        bed.load.stop()
        bed.start_load()
    return trial


def _busy_s() -> float:
    """CPU seconds of the whole machine until now."""
    times = psutil.cpu_times()
    return float(sum(getattr(times, name, 0.0) for name in ("user", "system", "nice", "irq", "softirq", "steal")))


def _comes_first() -> bool:
    """Whether broker and load, which inherit our priority, come before ordinary processes. With automatic groups (Linux), a
    priority counts only within a session, and both have sessions of their own."""
    groups = Path("/proc/sys/kernel/sched_autogroup_enabled")
    grouped = groups.exists() and groups.read_text().strip() != "0"
    return psutil.Process().nice() < 0 and not grouped


def to_record(outcome: Outcome, kind: str, block: Block, *, took_s: float, busy: float, at_s: float) -> Recorded:
    """What is kept of an outcome."""
    window, how, figures = outcome.window, outcome.applied.how if outcome.applied is not None else "", None
    if window is not None:
        usage = outcome.usage
        figures = Figures(
            **{name: getattr(window, name) for name in _SAME},
            stderr=window.on_time_stderr,
            cpu=usage.cpu_percent,
            rss=usage.rss_bytes,
            ctx=usage.ctx_switches_per_s,
        )
    return Recorded(
        block.workload,
        outcome.version,
        kind,
        block.round,
        dict(outcome.knobs),
        str(outcome.verdict),
        " ".join(outcome.reason.split())[:_LONGEST_REASON],
        how,
        outcome.timings.apply_s,
        outcome.timings.reconnect_s,
        outcome.timings.settle_s,
        took_s,
        busy,
        psutil.cpu_count() or 1,
        _comes_first(),
        at_s,
        figures,
    )


def read_journal(path: Path) -> dict[Block, list[Recorded]]:
    """The whole blocks of a journal; none if there is no such file. A last line that was cut off is left out.

    Raises:
        TunerError: a line is something else.
    """
    blocks: dict[Block, list[Recorded]] = {}
    lines = path.read_text("utf-8").split("\n") if path.exists() else []
    for number, line in enumerate(lines[:-1], 1):  # what follows the last line's end was not written to its own
        try:
            data = json.loads(line)
            seed, round_, version, workload = data["block"]
            block = Block(seed, round_, parse_version(version), workload)
            blocks[block] = [_from_json(trial) for trial in data["trials"]]
        except (ValueError, KeyError, TypeError) as error:
            raise TunerError(f"{path}: line {number} is not a block of trials: {error!r}") from error
    return blocks


def _from_json(data: Mapping[str, Any]) -> Recorded:
    figures = Figures(**data["figures"]) if data["figures"] is not None else None
    return Recorded(**{**data, "version": parse_version(data["version"]), "figures": figures})


def to_line(block: Block, trials: list[Recorded]) -> str:
    """A line of the journal, its end included."""
    rows = [asdict(trial) | {"version": ".".join(map(str, trial.version))} for trial in trials]
    version = ".".join(map(str, block.version))
    return json.dumps({"block": [block.seed, block.round, version, block.workload], "trials": rows}) + "\n"


def pack(journal: Path, output: Path) -> int:
    """Makes the surrogate's file; gives how many trials are in it.

    Raises:
        TunerError: the journal is missing, empty or damaged.
    """
    trials = sorted((trial for block in read_journal(journal).values() for trial in block), key=lambda trial: trial.at_s)
    if not trials:
        raise TunerError(f"{journal}: there are no trials in it")
    write((replace(trial, at_s=round(trial.at_s - trials[0].at_s)) for trial in trials), output)
    return len(trials)


def collect(options: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Records what is missing.

    Raises:
        TunerError: a Mosquitto or a workload is none, or the journal is damaged.
    """
    programs = {probe_version(program): program for program in map(find_mosquitto, options.mosquitto or [None])}
    loaded = load_settings()
    workloads = {name: get_workload(loaded, name) for name in options.workload or (*MAIN, *REST)}
    blocks = plan(options.seed, options.rounds, tuple(sorted(programs)), tuple(workloads))
    done = read_journal(options.journal)
    text = "".join(to_line(block, trials) for block, trials in done.items())
    if options.journal.exists() and options.journal.read_text("utf-8") != text:
        replace_file(options.journal, text.encode())  # without the line that was cut off
    left = [block for block in blocks if block not in done]
    for number, block in enumerate(left, len(blocks) - len(left) + 1):
        name = f"{block.workload} on {'.'.join(map(str, block.version))}"
        try:
            line = to_line(block, record(block, programs[block.version], workloads[block.workload]))
        except TunerError as error:  # the other blocks do not wait for it; the same command tries it again
            say(f"block {number} of {len(blocks)}: {name}: {error}")
            continue
        with options.journal.open("a", encoding="utf-8") as file:
            file.write(line)
        say(f"block {number} of {len(blocks)}: {name}")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be at least 1")
    return number


def main() -> int:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--journal", type=Path, required=True, help="where the blocks are kept, a line each")
    parser.add_argument("--mosquitto", type=Path, action="append", help="may be given several times, a version each")
    parser.add_argument("--workload", action="append", help="may be given several times; all eight if not given")
    parser.add_argument("--rounds", type=_count, default=18, help="18 take about an hour and a half on three Mosquittos")
    parser.add_argument("--seed", type=_count, default=1)
    parser.add_argument("--pack", type=Path, metavar="FILE", help="record nothing: make FILE of the journal")
    options = parser.parse_args()
    try:
        if options.pack:
            print(f"{pack(options.journal, options.pack)} trials in {options.pack}")
        else:
            collect(options, lambda line: print(f"{time.strftime('%H:%M:%S')} {line}", flush=True))
    except TunerError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted: the same command goes on with the block that was begun", file=sys.stderr)
        return ExitCode.INTERRUPTED
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
