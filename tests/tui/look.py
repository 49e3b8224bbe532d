"""Shows the app, to look at it: `python -m tests.tui.look`, or makes the README's picture of it.

Without a broker, on a make-believe run; with `--real` on a Mosquitto of its own. `--svg FILE --after N` draws no screen but
saves a picture of it after N trials.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from brokertuner_tui import paths
from brokertuner_tui.tui.app import TunerApp
from brokertuner_tui.tui.lifecycle import run
from brokertuner_tui.tui.link import SessionLike
from brokertuner_tui.tui.options import Options
from tests.tui.fake_session import FakeSession
from tests.tui.picture import picture


def real_session(mosquitto: str | None, workload: str, folder: Path) -> SessionLike:
    """A session on a broker of its own."""
    from brokertuner_tui.config.load import load_settings
    from brokertuner_tui.config.workloads import get_workload
    from brokertuner_tui.tuning.session import TuningSession

    loaded = load_settings(overrides={"broker.mosquitto": mosquitto}, environ={})
    return TuningSession(loaded.settings, get_workload(loaded, workload), folder, keep_open=True)


async def save_picture(app: TunerApp, path: Path, size: tuple[int, int], after: int, keys: list[str]) -> None:
    """Lets the app run until `after` trials are over, presses keys, and saves what is on the screen."""
    async with app.run_test(size=size) as pilot:
        while len(app.model.points) < after and not app.model.ended:
            await asyncio.sleep(0.05)
        for key in keys:
            await pilot.press(key)
        while app.model.phase is None or app.model.phase.seconds < 0.5:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.6 * app.model.phase.seconds)
        path.write_text(picture(app, "brokertuner-tui launch"))
    app.link.close(30)


def main() -> int:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--theme", default="dark")
    parser.add_argument("--ascii", action="store_true")
    parser.add_argument("--played", type=int, default=36, help="trials that are over at the start")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--mosquitto")
    parser.add_argument("--workload", default="fanout")
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--after", type=int, default=37)
    parser.add_argument("--size", default="150x40")
    parser.add_argument("--keys", default="", help="pressed before the picture, separated by spaces")
    arguments = parser.parse_args()
    options = Options(
        theme=arguments.theme,
        ascii=arguments.ascii,
        theme_folders=(paths.themes_dir(), paths.user_themes_dir()),
        no_colour=bool(os.environ.get("NO_COLOR")),
    )
    with tempfile.TemporaryDirectory() as folder:

        def make() -> SessionLike:
            if arguments.real:
                return real_session(arguments.mosquitto, arguments.workload, Path(folder))
            return FakeSession(speed=arguments.speed, played=arguments.played)

        app = TunerApp(make, options)
        if arguments.svg is None:
            return run(app)
        width, height = map(int, arguments.size.split("x"))
        asyncio.run(save_picture(app, arguments.svg, (width, height), arguments.after, arguments.keys.split()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
