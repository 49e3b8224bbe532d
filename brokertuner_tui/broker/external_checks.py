"""What is known of a broker that was there before us, and what stands in the way of tuning it; nothing is touched."""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from brokertuner_tui.broker.find import probe_version
from brokertuner_tui.broker.knob_file import KnobFile
from brokertuner_tui.broker.operator_conf import Listener, OperatorConf, OperatorConfError, Place, read_operator_conf
from brokertuner_tui.broker.service import Problem, Service
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import Version, parse_version
from brokertuner_tui.mqtt.endpoint import Endpoint

_SYS_S = 5.0


class NotReady(TunerError):
    """The broker cannot be tuned as things are; nothing was touched. A line for each problem, with what mends it."""

    def __init__(self, name: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        self.passes = all(problem.passes for problem in self.problems)
        if len(self.problems) == 1:
            super().__init__(f"{name}: {self.problems[0]}")
        else:
            lines = "".join(f"\n  {problem}" for problem in self.problems)
            super().__init__(f"{name}: {len(self.problems)} things stand in the way; nothing was touched{lines}")


@dataclass(frozen=True)
class Facts:
    """What the operator's config says, and what follows from it."""

    conf: OperatorConf
    knob_file: KnobFile
    endpoint: Endpoint
    program: Path | None
    listener: Listener | None
    """The one that `endpoint` leads to, if the config has it."""

    @cached_property
    def version(self) -> Version:
        """Mosquitto's: of its program where that is here, else what it says under `$SYS`.

        Raises:
            TunerError: neither says it.
        """
        if self.program is not None:
            with contextlib.suppress(TunerError):
                return probe_version(self.program)
        return version_from_sys(self.endpoint)

    def user(self, service: Service) -> str:
        """Whom the broker reads its config as, at a reload."""
        return service.user() or self.conf.user

    def pid_from_file(self) -> int | None:
        """The PID that the broker wrote, if a process of its name has it."""
        path = self.conf.pid_file
        if path is None:
            return None
        try:
            pid = int(path.read_text().strip()[:10])
            name = Path(f"/proc/{pid}/comm").read_text()
        except (OSError, ValueError):
            return None
        return pid if pid > 1 and "mosquitto" in name else None

    def problems(self, service: Service) -> list[Problem]:
        """What the config and the files say against it."""
        path, main = self.knob_file.path, self.conf.main
        found = []
        if path.suffix != ".conf":
            found.append(Problem(f"{path}: Mosquitto includes *.conf only", "another name in broker.tuner_config"))
        elif not self.conf.includes(path):
            line = shlex.quote(f"include_dir {path.parent}")
            found.append(Problem(f"{main} does not include {path.parent}", f"echo {line} | sudo tee -a {main}"))
        for name, place in self.conf.after_ours.items():
            found.append(Problem(f"{place} sets {name}, is read after {path} and wins over it", _mend_order(place, path)))
        if self.listener is None:
            kind = ("WebSocket " if self.endpoint.transport == "websockets" else "") + (
                "with TLS " if self.endpoint.tls else ""
            )
            has = ", ".join(_shown(one) for one in self.conf.listeners) or "none"
            found.append(
                Problem(
                    f"{main} has no listener {kind}on port {self.endpoint.port}; it has {has}", "broker.port, transport and tls"
                )
            )
        return found + self.knob_file.problems(self.user(service))


def find_facts(
    service: Service,
    originals: Path,
    endpoint_for: Callable[[str | None, int | None], Endpoint],
    knob_file: Path | None,
    host: str | None,
    port: int | None,
    program: Path | None = None,
) -> Facts:
    """Reads the operator's config.

    Raises:
        NotReady: it cannot be read, or says something that the tuner could not go back to.
        TunerError: the service cannot be asked, or the settings contradict each other.
    """
    main = service.main_config()
    path = knob_file or Path(os.path.join(main.parent, "conf.d", "broker_tuner.conf"))
    file = KnobFile(path, originals)
    try:
        conf = read_operator_conf(main, path, original=file.operators_own(), here=service.path_here)
    except OperatorConfError as error:
        mend = f"sudo chmod o+r {main}" if os.path.exists(main) and not os.access(main, os.R_OK) else "broker.main_config"
        raise NotReady(service.name, [Problem(str(error), mend)]) from None
    wanted = endpoint_for(host, port)
    websockets, tls = wanted.transport == "websockets", wanted.tls is not None
    listener = conf.listener_for(websockets=websockets, tls=tls)
    if port is not None:
        listener = next((o for o in conf.listeners if (o.port, o.websockets, o.tls) == (port, websockets, tls)), None)
    elif listener is not None:
        wanted = endpoint_for(host or listener.reach, listener.port)
    if port is not None and host is None and listener is not None:
        wanted = endpoint_for(listener.reach, port)
    return Facts(conf, file, wanted, program or service.program(), listener)


def version_from_sys(endpoint: Endpoint) -> Version:
    """The version that a broker names under `$SYS`.

    Raises:
        TunerError: it names none in time.
    """
    from brokertuner_tui.telemetry.sys_topics import SysTopics  # paho takes a while to import

    topics = SysTopics(endpoint)
    topics.start()
    try:
        deadline = time.monotonic() + _SYS_S
        while time.monotonic() < deadline:
            with contextlib.suppress(ValueError):
                return parse_version(topics.read().version)
            time.sleep(0.02)
    finally:
        topics.stop()
    raise TunerError(
        f"{endpoint} does not say its version under $SYS (sys_interval 0, or an ACL), and its program is not known here: "
        "name it with --mosquitto PATH"
    )


def _mend_order(place: Place, path: Path) -> str:
    if place.file.parent == path.parent:
        return f"broker.tuner_config = '{path.with_name('zz_broker_tuner.conf')}', which is read last"
    return f"line {place.line} of {place.file} moved above its include_dir"


def _shown(listener: Listener) -> str:
    kind = ("WebSocket" if listener.websockets else "MQTT") + (" with TLS" if listener.tls else "")
    return f"{listener.port} ({kind}{f' on {listener.host}' if listener.host else ''})"
