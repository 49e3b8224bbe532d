"""What an agent costs at the start of a run: `python benchmarks/agent_start.py [--turns N] [--json]`.

CPU seconds of a process that imports torch and makes one step of Adam, in turns with ours (`agent/adam.py`) and with
`torch.optim.Adam`. Medians, and their ratio.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]

_STEP = """
net = torch.nn.Linear(8, 8)
optimizer = make(net.parameters())
net(torch.ones(8)).sum().backward()
optimizer.step()
"""
_QUIETLY = "from brokertuner_tui.agent.torch_import import import_torch_quietly\ntorch = import_torch_quietly()\n"
WAYS = {
    "ours": "from brokertuner_tui.agent.adam import Adam\nmake = lambda parameters: Adam(parameters, 1e-3)\n",
    "torch.optim.Adam": "make = lambda parameters: torch.optim.Adam(parameters, 1e-3, fused=True)\n",
}


def cpu_s(code: str) -> float:
    """CPU seconds of a process that runs `code`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Measures in turns, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    taken: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(args.turns):
        for name, code in WAYS.items():
            taken[name].append(cpu_s(_QUIETLY + code + _STEP))
    medians = {name: median(times) for name, times in taken.items()}
    if args.json:
        print(json.dumps({"cpu_s": medians, "turns": args.turns}))
        return
    for name, seconds in medians.items():
        print(f"{name:17} {seconds:5.2f} s of CPU, {seconds / medians['ours']:.2f} times ours")


if __name__ == "__main__":
    main()
