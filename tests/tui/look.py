"""Shows the app without a broker, to look at it: `python -m tests.tui.look [--theme light] [--ascii] [--played 30]`."""

from __future__ import annotations

import argparse
import os
import sys

from brokertuner_tui import paths
from brokertuner_tui.tui.app import TunerApp
from brokertuner_tui.tui.lifecycle import run
from brokertuner_tui.tui.options import Options
from tests.tui.fake_session import FakeSession


def main() -> int:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--theme", default="dark")
    parser.add_argument("--ascii", action="store_true")
    parser.add_argument("--played", type=int, default=36, help="trials that are over at the start")
    parser.add_argument("--speed", type=float, default=1.0)
    arguments = parser.parse_args()
    options = Options(
        theme=arguments.theme,
        ascii=arguments.ascii,
        theme_folders=(paths.themes_dir(), paths.user_themes_dir()),
        no_colour=bool(os.environ.get("NO_COLOR")),
    )
    return run(TunerApp(lambda: FakeSession(speed=arguments.speed, played=arguments.played), options))


if __name__ == "__main__":
    sys.exit(main())
