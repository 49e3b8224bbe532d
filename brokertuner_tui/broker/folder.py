"""The managed broker's private folder: its config, its log, its data; one tuner at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from brokertuner_tui.broker.log import BrokerLog
from brokertuner_tui.broker.pretest import Line, lines_of
from brokertuner_tui.errors import TunerError, UsageError
from brokertuner_tui.files import replace_file
from brokertuner_tui.knobs.catalogue import KnobValues
from brokertuner_tui.knobs.conf import render
from brokertuner_tui.process.lock import Taken, TunerLock


class BrokerFolder:
    """`mosquitto.conf` and what it points to, all below one folder that only its owner may enter."""

    def __init__(self, path: Path) -> None:
        if not str(path).isprintable():
            raise UsageError(f"the folder {str(path)!r}: a config line cannot hold its name")
        self.path = path.absolute()
        self.main_conf = self.path / "mosquitto.conf"
        self.includes = self.path / "conf.d"
        self.extra_conf = self.includes / "00_extra.conf"
        self.knob_conf = self.includes / "broker_tuner.conf"
        self.data = self.path / "data"
        self.intent = self.path / "intent.json"
        self.log = BrokerLog(self.path / "mosquitto.log")
        self._lock: TunerLock | None = None

    def open(self, host: str, port: int, extra_conf: Path | None) -> None:
        """Makes the folder, takes it for this process, and writes everything but the knobs.

        Raises:
            UsageError: `extra_conf` cannot be read.
            TunerError: the folder cannot be written, or another tuner uses it.
        """
        extra = None
        if extra_conf is not None:
            try:
                extra = extra_conf.read_bytes()
            except OSError as error:
                raise UsageError(f"extra_conf = {extra_conf}: {error.strerror}") from None
        try:
            for folder in (self.path, self.includes, self.data):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            self._take()
            self.forget_sessions()  # of an earlier run: they would be a load that nobody asked for
            for leftover in self.includes.iterdir():
                leftover.unlink()
            replace_file(self.main_conf, self._main(host, port).encode())
            if extra is not None:
                # A copy below ours: a later change of the file must not come into force with some unrelated reload.
                replace_file(self.extra_conf, extra)
            self.log.rotate()
        except OSError as error:
            self.close()
            raise TunerError(f"the broker's folder {self.path} cannot be written: {error.strerror}") from None

    def write_knobs(self, knobs: KnobValues, announce: Callable[[bytes], None] = lambda _: None) -> None:
        """Replaces the knob file, durably.

        Args:
            announce: told the new content right before it is written.

        Raises:
            UsageError: a value is not legal.
            OSError: it cannot be written; the old file is still there.
        """
        content = render(knobs).encode()
        announce(content)
        replace_file(self.knob_conf, content)

    def for_a_test(self, knobs: bytes) -> list[Line]:
        """The whole config with `knobs` as its knob file.

        Raises:
            OSError: a file cannot be read.
        """
        extra = self.extra_conf.read_bytes() if self.extra_conf.exists() else b""
        return [
            *lines_of(self.main_conf.read_bytes(), str(self.main_conf)),
            *lines_of(extra, str(self.extra_conf)),
            *lines_of(knobs, str(self.knob_conf)),
        ]

    def forget_sessions(self) -> None:
        """Deletes what the broker saved. Left behind, it would come back when persistence is switched on again.

        Raises:
            OSError: a file cannot be deleted.
        """
        for saved in self.data.glob("mosquitto.db*"):
            saved.unlink(missing_ok=True)

    def close(self) -> None:
        """Gives the folder back; may be called again."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _take(self) -> None:
        try:
            self._lock = TunerLock(self.path / "lock")
        except Taken as taken:
            raise TunerError(f"the broker's folder {self.path} is in use by {taken.holder.told()}") from None

    def _main(self, host: str, port: int) -> str:
        lines = [
            "# Written by brokertuner-tui at every start. The knobs are in conf.d/broker_tuner.conf.",
            f"listener {port} {host}",
            "allow_anonymous true",
            # Standard error, which goes to mosquitto.log: there the broker also says why it does not like a config.
            "log_dest stderr",
            "log_timestamp true",
            "log_timestamp_format %Y-%m-%dT%H:%M:%S",
            "sys_interval 1",
            f"persistence_location {self.data}/",
            f"pid_file {self.path}/mosquitto.pid",
        ]
        if os.geteuid() == 0:
            # Else it gives root up for a user who cannot enter a private folder, to read its config again or to save.
            lines.append("user root")
        lines.append(f"include_dir {self.includes}")
        return "\n".join(lines) + "\n"
