"""What the first frame needs is little, and the core knows nothing of the screen. Each in a fresh interpreter."""

from __future__ import annotations

import json
import subprocess
import sys

LOOK = """
import asyncio, json, sys, threading
from brokertuner_tui import paths
from brokertuner_tui.tui.app import TunerApp
from brokertuner_tui.tui.options import Options

stop = threading.Event()

class Seen(TunerApp):
    def _begin(self):
        seen.append(sorted(sys.modules))
        self.exit()

async def run():
    app = Seen(lambda: None, Options(theme_folders=(paths.themes_dir(),)))
    async with app.run_test(size=(150, 40)) as pilot:
        await pilot.pause()

seen = []
asyncio.run(run())
print(json.dumps(seen[0]))
"""


def modules_after(code: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_first_frame_loads_nothing_heavy() -> None:
    loaded = modules_after(LOOK)
    assert "textual.app" in loaded
    for heavy in ("torch", "numpy", "sqlalchemy", "gymnasium", "pydantic", "textual_plot", "brokertuner_tui.tuning.session"):
        assert heavy not in loaded, f"{heavy} is not needed for the first frame"


def test_the_model_needs_no_textual() -> None:
    code = "import json, sys; import brokertuner_tui.tui.fold; print(json.dumps(sorted(sys.modules)))"
    loaded = modules_after(code)
    assert "brokertuner_tui.tuning.events" in loaded
    assert not {name for name in loaded if name.split(".")[0] in ("textual", "rich", "torch", "numpy")}
