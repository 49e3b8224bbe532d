"""A small checkout with the real scripts, and stand-ins for Python's slow parts, pip and Mosquitto."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Makes an "environment" at once and writes down what pip was asked; everything else is done by the real Python.
# FAKE_PIP=fail: pip fails. FAKE_PIP=slow: pip is killed, or takes half a second.
PYTHON = """#!/bin/sh
case "${1:-} ${2:-} ${3:-}" in
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip --version") ;;
  "-m pip install")
    echo "$*" >>"$FAKE_LOG"
    [ "${FAKE_PIP:-}" != fail ] || { echo "no such package: spam"; exit 1; }
    [ "${FAKE_PIP:-}" != slow ] || sleep 0.5
    printf '#!/bin/sh\\necho "tui:" "$@"\\n' >"${0%/*}/brokertuner-tui"
    chmod +x "${0%/*}/brokertuner-tui" ;;
  "-m pytest "*) shift; echo "$* with $BROKERTUNER_TEST_MOSQUITTO" ;;
  *) exec REAL "$@" ;;
esac
"""
GET_MOSQUITTO = """#!/bin/sh
echo "$*" >>"$FAKE_LOG"
case ${FAKE_SUITES-all} in all | *"${1:-own}"*) ;; *) echo "get-mosquitto: $1 is not to be had" >&2; exit 2 ;; esac
mkdir -p "$2"
printf '#!/bin/sh\\necho "mosquitto version 2.0.%s"\\n' "${1:-own}" >"$2/mosquitto"
chmod +x "$2/mosquitto"
"""
TOOLS = "sh cat cksum id readlink sed tail date rm mkdir mv cp chmod ln env sleep"


@dataclass
class Checkout:
    """A copy of what the scripts need, and how to run them there."""

    root: Path
    tools: Path
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def venv(self) -> Path:
        """Its virtual environment."""
        return self.root / ".venv"

    def log(self) -> list[str]:
        """What pip and get-mosquitto were asked so far."""
        path = Path(self.environ["FAKE_LOG"])
        return path.read_text().splitlines() if path.exists() else []

    def start(self, script: str, *args: str, **environ: str) -> subprocess.Popen[str]:
        """Starts a script."""
        return subprocess.Popen(
            [str(self.root / script), *args],
            env=self.environ | environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, script: str, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Runs a script to its end."""
        process = self.start(script, *args, **environ)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess([script, *args], process.returncode, out, err)


def write_program(path: Path, text: str) -> None:
    """A script that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def link_tools(folder: Path, names: str) -> None:
    """Puts the system's programs `names` into `folder`, which becomes the whole PATH."""
    folder.mkdir(exist_ok=True)
    for name in names.split():
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout in a folder whose name has a blank, with nothing set up, on a machine without Mosquitto."""
    root, tools = tmp_path / "a checkout", tmp_path / "tools"
    (root / "scripts").mkdir(parents=True)
    for name in ("run", "test", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, root / name)
    setup = (ROOT / "scripts" / "setup.sh").read_text()
    assert "/usr/sbin /usr/local/sbin" in setup
    (root / "scripts" / "setup.sh").write_text(setup.replace("/usr/sbin /usr/local/sbin", str(tmp_path / "sbin")))
    write_program(root / "scripts" / "get-mosquitto", GET_MOSQUITTO)
    link_tools(tools, TOOLS)
    write_program(tools / "python3", PYTHON.replace("REAL", sys.executable))
    for name in ("apt-get", "dpkg-deb"):
        write_program(tools / name, "#!/bin/sh\n")
    environ = {
        "PATH": str(tools),
        "HOME": str(tmp_path / "home"),
        "FAKE_LOG": str(tmp_path / "log"),
        "PYTHONPATH": str(ROOT),
        "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
    }
    return Checkout(root, tools, environ)
