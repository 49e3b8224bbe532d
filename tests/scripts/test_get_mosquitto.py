"""A private Mosquitto from packages, with stand-ins for the packaging tools: no network, any system."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.scripts.conftest import ROOT

# Packages are folders' tar files. FAKE_APT=none: no such package. FAKE_APT=offline: known, but not to be had.
APT_GET = """#!/bin/sh
echo "$*" >>"$FAKE_LOG"
case " $* " in
  *" --print-uris "*)
    echo "'http://security.example/debian-security/dists/old-security/InRelease' x 0"
    echo "'http://third.example/tool/dists/old/InRelease' x 0"
    echo "'http://third.example/tool/dists/old/main/Packages.xz' x 0"
    echo "'http://mirror.example/debian/dists/old/InRelease' x 0"
    exit ;;
  *" update "*)
    for word in "$@"; do case $word in *sourcelist=*) cat "${word#*=}" >>"$FAKE_LOG" ;; esac; done
    [ "${FAKE_APT:-}" != offline ] || { echo "E: no network" >&2; exit 100; } ;;
  *" install -s "*)
    [ "${FAKE_APT:-}" != none ] || { echo "E: Unable to locate package mosquitto" >&2; exit 100; }
    printf 'Inst adduser (3)\\nInst libfoo1 (1)\\nInst libc-bin (1)\\nInst mosquitto (2)\\nConf libfoo1 (1)\\n' ;;
  *" download "*)
    [ "${FAKE_APT:-}" != offline ] || { echo "E: Failed to fetch a package" >&2; exit 100; }
    cp "$FAKE_PACKAGES"/*.deb . ;;
esac
"""
DPKG_DEB = """#!/bin/sh
[ "$1" = -x ] && mkdir -p "$3" && tar -xf "$2" -C "$3"
"""
MOSQUITTO = """#!/bin/sh
[ "$1" = -h ] && { echo "mosquitto version 2.0.99"; exit; }
echo "$$ $LD_LIBRARY_PATH" "$@"
"""
TOOLS = "sh cat sed tail head mktemp mkdir rm cp mv chmod find sort uniq tr grep tar pwd dirname ldconfig"


class Machine:
    """Runs the script with nothing but stand-ins and a few tools on the PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin, self.packages = folder, folder / "bin", folder / "packages"
        self.bin.mkdir()
        self.packages.mkdir()
        for tool in TOOLS.split():
            if found := shutil.which(tool, path=os.environ["PATH"] + ":/sbin:/usr/sbin"):
                (self.bin / tool).symlink_to(found)
        self.program("apt-get", APT_GET)
        self.program("dpkg-deb", DPKG_DEB)
        self.program("apt-config", "#!/bin/sh\n")
        self.package("mosquitto", {"usr/sbin/mosquitto": MOSQUITTO, "usr/share/man/m.8": "", "etc/init.d/mosquitto": "exit 1"})
        self.package("libfoo1", {"usr/lib/x86_64-linux-gnu/libfoo.so.1": ""})
        (folder / "temporary").mkdir()

    def program(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def package(self, name: str, files: dict[str, str]) -> None:
        tree = self.folder / f"tree-{name}"
        for file, text in files.items():
            (tree / file).parent.mkdir(parents=True, exist_ok=True)
            (tree / file).write_text(text)
            (tree / file).chmod(0o755)
        subprocess.run(["tar", "-cf", self.packages / f"{name}.deb", "-C", tree, "."], check=True)

    def get(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", ROOT / "scripts" / "get-mosquitto", *arguments],
            env={
                "PATH": str(self.bin),
                "TMPDIR": str(self.folder / "temporary"),
                "FAKE_LOG": str(self.folder / "log"),
                "FAKE_PACKAGES": str(self.packages),
                **environ,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def refused(done: subprocess.CompletedProcess[str], said: str) -> None:
    """One clear line, and the exit code of a usage error."""
    assert said in done.stderr
    assert done.stderr.splitlines()[-1].startswith("get-mosquitto: ")
    assert done.returncode == 2
    assert done.stdout == ""


def test_unpacked_and_started(machine: Machine) -> None:
    place = machine.folder / "a 'place'"
    done = machine.get("", str(place))
    assert (done.returncode, done.stdout) == (0, "mosquitto 2.0.99\n"), done.stderr
    process = subprocess.Popen([place / "mosquitto", "-c", "a b"], stdout=subprocess.PIPE, text=True)
    said = process.communicate(timeout=60)[0].split(" ", 1)
    assert int(said[0]) == process.pid, "the PID that was started is the broker's"
    root = next(place.glob("package.*")) / "root"
    assert said[1] == f"{root}/usr/lib/x86_64-linux-gnu -c a b\n"
    assert not (root / "etc").exists()
    assert not (root / "usr/share/man").exists()
    assert sorted(path.name[:8] for path in place.iterdir()) == ["mosquitt", "package."]
    assert list((machine.folder / "temporary").iterdir()) == []
    asked = (machine.folder / "log").read_text()
    assert "download libc-bin libfoo1 mosquitto" in asked
    assert "adduser" not in asked


def test_moved_or_linked_it_still_starts(machine: Machine) -> None:
    assert machine.get("", str(machine.folder / "here")).returncode == 0
    (machine.folder / "link").symlink_to(machine.folder / "here" / "mosquitto")
    assert b"2.0.99" in subprocess.run([machine.folder / "link", "-h"], capture_output=True, check=True).stdout
    (machine.folder / "here").rename(machine.folder / "there")
    assert b"2.0.99" in subprocess.run([machine.folder / "there" / "mosquitto", "-h"], capture_output=True, check=True).stdout


def test_what_is_there_stays(machine: Machine) -> None:
    place = machine.folder / "place"
    assert machine.get("", str(place)).returncode == 0
    (machine.folder / "log").unlink()
    again = machine.get("", str(place))
    assert (again.returncode, again.stdout) == (0, "mosquitto 2.0.99\n")
    assert not (machine.folder / "log").exists()
    (place / "mosquitto").write_text("#!/bin/sh\nexit 1\n")  # one that does not run is replaced
    assert machine.get("", str(place)).returncode == 0
    assert b"2.0.99" in subprocess.run([place / "mosquitto", "-h"], capture_output=True, check=True).stdout


def test_another_suite(machine: Machine) -> None:
    done = machine.get("trixie", str(machine.folder / "place"))
    assert done.stdout == "mosquitto 2.0.99\n", done.stderr
    # Debian's mirror, although another source is named more often.
    assert re.search(
        r"^deb (\[signed-by=\S+\] )?http://mirror\.example/debian/ trixie main$", (machine.folder / "log").read_text(), re.M
    )


@pytest.mark.parametrize(
    ("suite", "fault", "said"),
    [
        (
            "",
            "none",
            "have no Mosquitto (E: Unable to locate package mosquitto); install it with: sudo apt-get install mosquitto",
        ),
        ("", "offline", "a package cannot be had: E: Failed to fetch a package"),
        ("sid", "none", "sid has no Mosquitto: E: Unable to locate package mosquitto"),
        ("sid", "offline", "the package list of sid cannot be had: E: no network"),
    ],
)
def test_nothing_to_be_had(machine: Machine, suite: str, fault: str, said: str) -> None:
    refused(machine.get(suite, str(machine.folder / "place"), FAKE_APT=fault), said)
    assert list((machine.folder / "place").iterdir()) == []
    assert list((machine.folder / "temporary").iterdir()) == []


def test_one_that_does_not_run(machine: Machine) -> None:
    machine.package("mosquitto", {"usr/sbin/mosquitto": "#!/bin/sh\necho cannot open shared object file >&2; exit 127\n"})
    refused(
        machine.get("", str(machine.folder / "place")), "does not run here; install it with: sudo apt-get install mosquitto"
    )
    assert list((machine.folder / "place").iterdir()) == []


@pytest.mark.parametrize(
    ("manager", "command"),
    [("dnf", "sudo dnf install mosquitto"), ("brew", "with: brew install mosquitto"), (None, "mosquitto.org")],
)
def test_another_kind_of_system(machine: Machine, manager: str | None, command: str) -> None:
    (machine.bin / "apt-get").unlink()
    if manager:
        machine.program(manager, "#!/bin/sh\n")
    refused(machine.get("", str(machine.folder / "place")), command)


def test_arguments(machine: Machine) -> None:
    refused(machine.get(), "usage:")
    refused(machine.get("", ""), "DIR is empty")
    refused(machine.get("$(touch x)", "place"), "SUITE must be a name")
    refused(machine.get("", str(machine.folder / "a:b")), "colon")
    (machine.folder / "file").touch()
    refused(machine.get("", str(machine.folder / "file" / "place")), "cannot make the folder")
