"""How soon the screen is there: `python benchmarks/first_frame.py [--json] [--turns N]`.

From the start of the process to the first frame in the terminal, for `launch` and for a Textual app with one label, in turns,
in a pseudo-terminal of 150x40. Medians in seconds, and their ratio.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.tui.terminal import Terminal

ROOT = Path(__file__).resolve().parents[1]

BARE = """
from textual.app import App
from textual.widgets import Label
class Bare(App):
    def compose(self):
        yield Label("first frame")
Bare().run()
"""
TARGET = 2.0


def first_frame(argv: list[str], marker: str) -> float:
    """Seconds until `marker` is on the screen."""
    with Terminal(argv, columns=150, rows=40, cwd=str(ROOT)) as terminal:
        seconds = terminal.wait_for(marker, 60)
        terminal.signal(signal.SIGTERM)
        terminal.wait(30)
    return seconds


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--turns", type=int, default=10)
    arguments = parser.parse_args()
    bare: list[float] = []
    ours: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        launch = [sys.executable, "-m", "brokertuner_tui", "launch", "--save-dir", folder]
        for _ in range(arguments.turns + 1):
            bare.append(first_frame([sys.executable, "-c", BARE], "first frame"))
            ours.append(first_frame(launch, "STARTING"))
    del bare[0], ours[0]  # the first turn fills the disk's cache
    result = {
        "turns": arguments.turns,
        "bare_s": median(bare),
        "launch_s": median(ours),
        "ratio": median(ours) / median(bare),
        "target_ratio": TARGET,
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        print(
            f"first frame: launch {result['launch_s']:.3f} s, a bare Textual app {result['bare_s']:.3f} s, "
            f"{result['ratio']:.2f}x (target <= {TARGET:g}x), medians of {arguments.turns}"
        )


if __name__ == "__main__":
    main()
