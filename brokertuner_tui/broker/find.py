"""Which Mosquitto to run: the one given, else the system's, else a private copy that was unpacked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from brokertuner_tui.errors import TunerError, UsageError
from brokertuner_tui.knobs.catalogue import Version, parse_version
from brokertuner_tui.paths import mosquitto_dir

OLDEST: Version = (2, 0, 0)
_SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", "/usr/local/opt/mosquitto/sbin")
_INSTALL = (
    ("apt-get", "sudo apt-get install mosquitto"),
    ("dnf", "sudo dnf install mosquitto"),
    ("apk", "sudo apk add mosquitto"),
    ("pacman", "sudo pacman -S mosquitto"),
    ("zypper", "sudo zypper install mosquitto"),
    ("brew", "brew install mosquitto"),
)


def find_mosquitto(explicit: Path | None = None) -> Path:
    """The Mosquitto to run.

    In this order: `explicit`; the system's (PATH and the folders where system services lie); a private copy in the folder
    that BROKERTUNER_MOSQUITTO_DIR names, or in the user's data folder (`scripts/get-mosquitto` puts it there).

    Raises:
        UsageError: `explicit` is not a program.
        TunerError: there is no Mosquitto; the message says how to get one.
    """
    if explicit is not None:
        path = explicit.expanduser()
        if not path.is_file():
            raise UsageError(f"mosquitto = {explicit}: {'is a folder' if path.is_dir() else 'there is no such file'}")
        if not os.access(path, os.X_OK):
            raise UsageError(f"mosquitto = {explicit}: the file is not executable")
        return path.absolute()
    search = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS))
    if found := shutil.which("mosquitto", path=search):
        return Path(found).absolute()
    named = os.environ.get("BROKERTUNER_MOSQUITTO_DIR")
    for folder in ([Path(named)] if named else []) + [mosquitto_dir()]:
        program = folder / "mosquitto"
        if program.is_file() and os.access(program, os.X_OK):
            return program.absolute()
    raise TunerError(f"no Mosquitto was found; {how_to_get()}")


def how_to_get() -> str:
    """What to do on this machine to get Mosquitto, with the exact command."""
    for manager, command in _INSTALL:
        if shutil.which(manager) and not (manager == "brew") ^ (sys.platform == "darwin"):
            return f"install it with `{command}`, or name one with --mosquitto PATH"
    return "install Mosquitto 2.0 or later (https://mosquitto.org/download/), or name one with --mosquitto PATH"


def probe_version(program: Path) -> Version:
    """The version that `program -h` tells.

    Raises:
        TunerError: it is not Mosquitto, does not run, or is older than 2.0.
    """
    try:
        told = subprocess.run(
            [program, "-h"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False, errors="replace"
        )
    except subprocess.TimeoutExpired:
        raise TunerError(f"{program} is not Mosquitto: it does not answer -h within 10 s") from None
    except OSError as error:
        raise TunerError(f"{program} cannot be run: {error.strerror}") from None
    first = told.stdout.partition("\n")[0]
    try:
        if not first.startswith("mosquitto version"):
            raise ValueError
        version = parse_version(first)
    except ValueError:
        said = (first or told.stderr.strip().partition("\n")[0])[:120]
        raise TunerError(f"{program} is not Mosquitto: -h says {said!r}") from None
    if version < OLDEST:
        raise TunerError(f"{program} is Mosquitto {'.'.join(map(str, version))}: 2.0 or later is needed")
    return version
