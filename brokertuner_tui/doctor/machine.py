"""Checks of the machine: versions, cores, memory, open files, load tools, systemd."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import psutil

from brokertuner_tui import __version__
from brokertuner_tui.doctor.finding import Finding, ok, warning

_PACKAGES = ("torch", "textual", "paho-mqtt", "pydantic", "SQLAlchemy", "numpy")
_OPEN_FILES = 1024
_MEMORY_BYTES = 512 * 2**20


def versions() -> Iterator[Finding]:
    """What runs."""
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            yield warning("packages", f"{name} is not installed", "a part of the tuner will not run", f"pip install {name}")
    yield ok("versions", f"brokertuner-tui {__version__}, Python {platform.python_version()}, {', '.join(found)}")
    if sys.platform != "linux":
        yield warning("system", platform.system(), "only Linux is tested: sockets' owners are checked less elsewhere")


def cores() -> Iterator[Finding]:
    """Broker, load and learner want to stay out of each other's way."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if count >= 4:
        yield ok("cores", f"{count}: broker, load and learner each have their own")
        return
    yield warning(
        "cores",
        f"{count}: broker, load and learner share them",
        "figures are lower than on a server; comparisons stay fair, since everything shares alike",
        "# for absolute figures: 4 cores or more, or the load on another host (--broker https://HOST:8080)",
    )


def memory() -> Iterator[Finding]:
    """torch alone wants some 300 MB."""
    free = psutil.virtual_memory().available
    text = f"{free / 2**30:.1f} GiB available"
    if free >= _MEMORY_BYTES:
        yield ok("memory", text)
    else:
        yield warning("memory", text, "the learner needs some 300 MB, and a broker whose queues fill needs more")


def open_files() -> Iterator[Finding]:
    """Each client of a load is a socket, and so is each connection of the broker."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= _OPEN_FILES:
        yield ok("open files", "no limit" if soft == resource.RLIM_INFINITY else f"{soft} a process")
        return
    why = "a load of many clients, and the broker itself, need a socket for each"
    yield warning("open files", f"{soft} a process", why, f"ulimit -n {hard}")


def load_tools() -> Iterator[Finding]:
    """The built-in generator needs nothing; emqtt_bench is the operator's choice."""
    found = shutil.which("emqtt_bench")
    if found:
        yield ok("emqtt_bench", found)
    else:
        yield ok("emqtt_bench", "not installed, and not needed: the built-in generator makes the load")


def systemd() -> Iterator[Finding]:
    """Whether services are systemd's here."""
    if Path("/run/systemd/system").is_dir():
        yield ok("systemd", "runs this machine")
    else:
        yield ok("systemd", "does not run this machine: --broker managed, command, or an agent's URL")
