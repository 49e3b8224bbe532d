"""A private PostgreSQL from the system's packages, for tests: started by whom it may be, killed and started again at will."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import psycopg

DEADLINE_S = 60.0


def programs() -> Path | None:
    """The folder with `initdb` and `pg_ctl`, of the newest version; None where there is no server."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name.partition(".")[0]))
    found = [folder for folder in folders if (folder / "initdb").exists() and (folder / "pg_ctl").exists()]
    if found:
        return found[-1]
    there = shutil.which("initdb")
    return Path(os.path.realpath(there)).parent if there else None


class Postgres:
    """A cluster of its own on a free port of the loopback. Not our child: it goes on when a test ends."""

    def __init__(self, bin_folder: Path) -> None:
        self._bin = bin_folder
        self._as: dict[str, Any] = {}
        self._databases = 0
        # Not below pytest's folder: that is root's alone, and the server refuses to be root.
        self.folder = Path(tempfile.mkdtemp(prefix="bt-pg-"))
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        self._data = self.folder / "data"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._run("initdb", "-D", self._data, "-U", "tuner", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-N")
        self.start()

    def url(self, database: str = "postgres") -> str:
        """Of one of its databases."""
        return f"postgresql://tuner@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """An empty database's URL."""
        self._databases += 1
        name = f"test{self._databases}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def execute(self, statement: str, url: str | None = None) -> list[Any]:
        """Runs a statement outside of any store; gives its rows."""
        with self.connect(url or self.url()) as connection:
            cursor = connection.execute(statement.encode())
            return list(cursor.fetchall()) if cursor.description else []

    def connect(self, url: str) -> psycopg.Connection[Any]:
        """A connection that commits every statement."""
        return psycopg.connect(url, autocommit=True, connect_timeout=10)

    def start(self) -> None:
        """Starts it and waits until it lets clients in."""
        options = (
            f"-p {self.port} -c unix_socket_directories= -c listen_addresses=127.0.0.1 -c fsync=off -c autovacuum=off "
            "-c max_connections=40 -c shared_buffers=16MB"
        )
        self._run("pg_ctl", "start", "-w", "-t", "60", "-D", self._data, "-l", self.folder / "log", "-o", options)

    def processes(self) -> list[psutil.Process]:
        """The server and what it forked."""
        with contextlib.suppress(OSError, psutil.NoSuchProcess):
            main = psutil.Process(int((self._data / "postmaster.pid").read_text().split()[0]))
            return [process for process in (main, *main.children(recursive=True)) if _lives(process)]
        return []

    def kill(self) -> None:
        """kill -9 of all of it."""
        gone = self.processes()
        for process in gone:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        until(lambda: not any(map(_lives, gone)), "the server is gone")
        # As after a reboot: a zombie that nobody has waited for yet would count as running.
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    @contextlib.contextmanager
    def frozen(self) -> Any:
        """Holds all of it: connections stay open, and nobody answers."""
        held = self.processes()
        for process in held:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in held:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGCONT)

    def end_connections(self, url: str) -> None:
        """Ends those of one database, and waits until they are gone."""
        name = url.rpartition("/")[2]
        self.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'")

    def close(self) -> None:
        """Ends it and removes all of it."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self._bin / program), *map(str, arguments)]
        with tempfile.TemporaryFile("w+") as output:  # a pipe would be kept open by the server
            ended = subprocess.run(
                command, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=120, check=False, **self._as
            )
            output.seek(0)
            said = output.read()
        log = self.folder / "log"
        assert ended.returncode == 0, said + (log.read_text()[-2000:] if log.exists() else "")


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(condition: Any, what: str) -> None:
    """Waits for it."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not in {DEADLINE_S} s: {what}"
        time.sleep(0.01)
