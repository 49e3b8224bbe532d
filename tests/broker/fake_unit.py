"""A service around a real Mosquitto, for the command kind: `fake_unit.py FOLDER start|stop|restart|reload|status|pid|log`.

FOLDER has `mosquitto` (the path of the program), `mosquitto.conf`, and what the broker writes. `mode` makes it misbehave.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def pid_of(folder: Path) -> int | None:
    """The broker's PID, while it runs."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((folder / "unit.pid").read_text())
        if "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]:
            return pid
    return None


def stop(folder: Path) -> None:
    """TERM, and waits."""
    pid = pid_of(folder)
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 10
    while pid_of(folder) is not None and time.monotonic() < deadline:
        time.sleep(0.005)


def start(folder: Path) -> None:
    """Starts it, as a daemon that inherits our output."""
    program = (folder / "mosquitto").read_text()
    with open(folder / "mosquitto.log", "ab") as log:
        process = subprocess.Popen(
            [program, "-c", str(folder / "mosquitto.conf")], stdin=subprocess.DEVNULL, stderr=log, start_new_session=True
        )
    (folder / "unit.pid").write_text(str(process.pid))


def main() -> int:
    """Runs one verb."""
    folder, verb = Path(sys.argv[1]), sys.argv[2]
    mode = (folder / "mode").read_text().strip() if (folder / "mode").exists() else ""
    if mode == f"fail {verb}":
        print(f"fake: no {verb} today", file=sys.stderr)
        return 4
    if mode == f"ignore {verb}":
        return 0
    if mode == f"break {verb}":
        (folder / "conf.d" / "a.conf").write_text("no_such_word 1\n")  # somebody who comes after the tuner has looked
    pid = pid_of(folder)
    match verb:
        case "start":
            start(folder)
        case "stop":
            stop(folder)
        case "restart":
            stop(folder)
            start(folder)
        case "reload" if pid is not None:
            os.kill(pid, signal.SIGHUP)
        case "status":
            return 0 if pid is not None else 3
        case "pid" if pid is not None:
            print(pid)
        case "log":
            print((folder / "mosquitto.log").read_text(), end="")
        case _:
            return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
