"""TCP ports on this machine: a free one, and who listens on one."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import socket
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from brokertuner_tui.errors import TunerError

_LISTEN = b"0A"
_FIRST_PORT = 20_000


@dataclass(frozen=True, slots=True)
class Holder:
    """Who listens on a port; PID and program are unknown for another user's process."""

    port: int
    pid: int | None
    program: str

    def __str__(self) -> str:
        """`port 1883 is held by mosquitto (PID 812)`"""
        if self.pid is None:
            return f"port {self.port} is held by a process of another user"
        return f"port {self.port} is held by {self.program or 'a process'} (PID {self.pid})"


class PortTaken(TunerError):
    """The broker cannot listen: somebody else has its port; the message names them."""

    passes = True


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now (connections that are still closing do not matter)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(1)
        except OSError:
            return False
    return True


def free_port(host: str) -> int:
    """A free port below the range that the kernel gives to outgoing connections.

    In that range a client that connects to the port again and again while the broker restarts would some day be given the
    same port as its own and be connected to itself: the broker could not listen there any more.

    Raises:
        OSError: there is none.
    """
    try:
        last = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]) - 1
    except (OSError, ValueError, IndexError):
        last = 32_767
    if last <= _FIRST_PORT:
        last = 32_767
    for _ in range(1000):
        port = random.randint(_FIRST_PORT, last)  # not the learner's generator: it must stay reproducible
        if is_free(host, port):
            return port
    raise OSError(f"no free port between {_FIRST_PORT} and {last}")


def owns(pid: int, port: int) -> bool | None:
    """Whether the process `pid` listens on `port`; None where that cannot be seen: another user's, or a container's."""
    if sys.platform != "linux":
        with contextlib.suppress(psutil.Error):
            connections = psutil.Process(pid).net_connections("tcp")
            return any(c.laddr and c.laddr.port == port and c.status == psutil.CONN_LISTEN for c in connections)
        return False
    inodes = set(_listening_inodes(port))
    if inodes and not inodes.isdisjoint(_socket_inodes(pid)):
        return True
    return None if _is_hidden(pid) else False


def _is_hidden(pid: int) -> bool:
    try:
        os.listdir(f"/proc/{pid}/fd")
        return os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net")
    except PermissionError:
        return True
    except OSError:
        return False


def holder(port: int) -> Holder | None:
    """Who listens on `port`; None when nobody does."""
    inodes = set(_listening_inodes(port)) if sys.platform == "linux" else None
    if inodes is not None and not inodes:
        return None
    for process in psutil.process_iter():
        found = not inodes.isdisjoint(_socket_inodes(process.pid)) if inodes is not None else owns(process.pid, port)
        if found:
            with contextlib.suppress(psutil.Error):
                return Holder(port, process.pid, process.name())
            return Holder(port, process.pid, "")
    return Holder(port, None, "") if inodes is not None else None


def _listening_inodes(port: int) -> list[int]:
    # psutil.net_connections() looks at every process's every descriptor, and the whole table takes 10 ms with a few hundred
    # connections that are closing. The kernel lists listening sockets first, so it is enough to read up to the first other;
    # and it searches IPv4's connections, too, to list IPv6's, so that table is read only when it must be.
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError), open(table, "rb", buffering=4096) as lines:
            if found := _inodes_of(port, lines):
                return found
    return []


def _inodes_of(port: int, lines: Iterable[bytes]) -> list[int]:
    """The inodes of the sockets that listen on `port`, from such a table; a line that is none ends it."""
    wanted, found = f":{port:04X}".encode(), []
    for line in itertools.islice(lines, 1, None):  # behind the headings
        fields = line.split(None, 10)
        if len(fields) < 10 or fields[3] != _LISTEN or not fields[9].isdigit():
            break
        if fields[1].endswith(wanted):
            found.append(int(fields[9][:18]))
    return found


def _socket_inodes(pid: int) -> Iterator[int]:
    folder = f"/proc/{pid}/fd"
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            with contextlib.suppress(OSError):
                target = os.readlink(f"{folder}/{name}")
                if target.startswith("socket:["):
                    yield int(target[8:-1])
