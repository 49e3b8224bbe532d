"""Makes fake units (see `fake_unit.py`) and the brokers that tune them."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

from brokertuner_tui.broker.command import CommandService
from brokertuner_tui.broker.external import ExternalBroker
from brokertuner_tui.broker.ports import free_port
from brokertuner_tui.mqtt.endpoint import Endpoint
from tests.broker import fake_unit
from tests.waiting import eventually

SCRIPT = Path(fake_unit.__file__)


class FakeUnit:
    """A service of the operator's: a Mosquitto with a config of its own."""

    def __init__(self, folder: Path, mosquitto: Path, *, main: str = "", included: str = "") -> None:
        self.folder = folder
        self.conf_d = folder / "conf.d"
        self.conf_d.mkdir(parents=True)
        self.port = free_port("127.0.0.1")
        self.main = folder / "mosquitto.conf"
        self.main.write_text(
            f"# the operator's\nlistener {self.port} 127.0.0.1\nallow_anonymous true\nlog_dest stderr\nsys_interval 1\n"
            f"persistence_location {folder}/\n{'user root' if os.geteuid() == 0 else ''}\n{main}\ninclude_dir {self.conf_d}\n"
        )
        if included:
            (self.conf_d / "a_operator.conf").write_text(included)
        (folder / "mosquitto").write_text(str(mosquitto))
        self.mosquitto = mosquitto

    @property
    def knob_file(self) -> Path:
        """Ours, in the operator's folder."""
        return self.conf_d / "broker_tuner.conf"

    @property
    def pid(self) -> int | None:
        """Of the broker, while it runs."""
        return fake_unit.pid_of(self.folder)

    def misbehave(self, mode: str) -> None:
        """`ignore reload`, `fail restart`, ...; empty: not any more."""
        (self.folder / "mode").write_text(mode)

    def start(self) -> None:
        """Starts it, and waits until it serves."""
        fake_unit.start(self.folder)
        assert eventually(lambda: self.serves())

    def serves(self) -> bool:
        """Whether something accepts connections."""
        import socket

        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """Ends it."""
        fake_unit.stop(self.folder)

    def command(self, verb: str) -> list[str]:
        """The arguments of a command of [broker.command]."""
        return [sys.executable, "-S", str(SCRIPT), str(self.folder), verb]

    def kill(self) -> None:
        """KILL."""
        with contextlib.suppress(ProcessLookupError, TypeError):
            os.kill(self.pid, signal.SIGKILL)  # type: ignore[arg-type]
        assert eventually(lambda: self.pid is None)

    def service(self, *verbs: str, **options: Any) -> CommandService:
        """Knows these commands; none: all of them."""
        names = verbs or ("restart", "reload", "status", "log", "pid")
        commands: dict[str, Any] = {verb: self.command(verb) for verb in names}
        return CommandService(**{"restart": [], **commands, "main_config": self.main, **options})

    def broker(self, originals: Path, *verbs: str, service: CommandService | None = None, **options: Any) -> ExternalBroker:
        """Tunes it."""
        return ExternalBroker(
            service or self.service(*verbs),
            originals,
            lambda host, port: Endpoint(host or "127.0.0.1", port or 1883),
            **{"program": self.mosquitto, "restart_stable_s": 10.0, **options},
        )
