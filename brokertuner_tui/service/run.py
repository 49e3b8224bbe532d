"""`serve` from beginning to end: checks, the socket, the broker, the service, and everything ended again."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from brokertuner_tui.config.settings import ServiceSettings, Settings
from brokertuner_tui.errors import UsageError
from brokertuner_tui.paths import private_folder
from brokertuner_tui.service import server, token
from brokertuner_tui.service.alone import AloneHost
from brokertuner_tui.service.app import make_app
from brokertuner_tui.service.changes import Changes
from brokertuner_tui.service.confirmation import SilenceLook
from brokertuner_tui.service.context import Service
from brokertuner_tui.service.drift_look import DriftLook
from brokertuner_tui.service.gate import LOOPBACK, GateRules, is_loopback
from brokertuner_tui.service.hosted import Hosted
from brokertuner_tui.service.journal import Journal
from brokertuner_tui.service.stream import Streams
from brokertuner_tui.service.tuned import TunedHost
from brokertuner_tui.service.upkeep import Upkeep
from brokertuner_tui.store.errors import StoreError
from brokertuner_tui.store.lock import WriterLock
from brokertuner_tui.workload.profile import Workload

_log = logging.getLogger(__name__)
FOLDER = "service"
TOKEN_NAME = "token"


@dataclass(frozen=True, slots=True)
class Started:
    """What is told when the service listens."""

    url: str
    token_file: Path
    token_made: bool
    broker: str
    allow_changes: bool


def check(settings: ServiceSettings) -> None:
    """Raises UsageError for settings that would leave the service open to others."""
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise UsageError("TLS needs both, a certificate (--tls-cert) and its key (--tls-key)")
    if settings.tls_cert is None and not is_loopback(settings.host):
        raise UsageError(
            f"--listen {settings.host}: anything but loopback needs TLS (--tls-cert FILE --tls-key FILE): the token would be "
            "read by everyone on the way"
        )
    if settings.tls_cert is not None and settings.tls_key is not None:
        server.check_certificate(settings.tls_cert, settings.tls_key)


def token_path(settings: Settings, save_dir: Path) -> Path:
    """Where the token is."""
    return settings.service.token_file or save_dir / FOLDER / TOKEN_NAME


def serve(
    settings: Settings,
    save_dir: Path,
    *,
    tune: Workload | None = None,
    stopped: Callable[[], bool],
    started: Callable[[Started], None],
    min_interval_s: float = 1.0,
) -> None:
    """Serves until `stopped` says so; a managed broker is ended then, others go on.

    Args:
        tune: run a tuning session under this workload, too.
        started: called once, when the service answers.
        min_interval_s: from one change of the broker to the next.

    Raises:
        UsageError: a setting is not acceptable; nothing was touched.
        TunerError: the address or the broker cannot be had.
    """
    service = settings.service
    check(service)
    if settings.broker.kind == "remote":
        raise UsageError("serve runs on the broker's own host, as the agent of others: --broker managed, systemd or command")
    folder = private_folder(save_dir / FOLDER)
    path = token_path(settings, save_dir)
    secret, made = token.read_or_make(path)
    with ExitStack() as stack:
        lock = _lock(folder)
        stack.callback(lock.release)
        journal = Journal(folder)
        sock = server.listen(service.host, service.port)
        stack.callback(sock.close)
        host: Hosted
        if tune is not None:
            host = tuned = TunedHost(settings, tune, save_dir)
            stack.callback(tuned.close)
            tuned.open(stopped)
        else:
            host = alone = AloneHost(settings.broker, folder)
            stack.callback(alone.close)
            alone.open(journal.last_good(), may_change=service.allow_changes)
        _log.info("the broker runs: %s on %s, PID %s", host.program, host.endpoint, host.status().pid)
        changes = Changes(host, journal, interval_s=min_interval_s, rollback_s=service.rollback_sec)
        stack.callback(changes.close)
        changes.resolve()
        if isinstance(host, AloneHost):
            upkeep = Upkeep(host, changes)
            stack.callback(upkeep.close)
        silence = SilenceLook(changes.confirmation, changes.between)
        stack.callback(silence.close)
        look = DriftLook(host, changes)
        stack.callback(look.close)
        address = _address(sock)
        told = Started(
            f"{'https' if service.tls_cert else 'http'}://{address}", path, made, str(host.endpoint), service.allow_changes
        )
        _run(settings, save_dir, sock, secret, host, changes, stopped, lambda: started(told))


def _run(
    settings: Settings,
    save_dir: Path,
    sock: socket.socket,
    secret: str,
    host: Hosted,
    changes: Changes,
    stopped: Callable[[], bool],
    started: Callable[[], None],
) -> None:
    service = settings.service
    streams = Streams(host.subscribe, service.max_streams, host.session_status)
    context = Service(
        host=host,
        changes=changes,
        streams=streams,
        save_dir=save_dir,
        allow_changes=service.allow_changes,
        answer_s=service.request_sec,
        change_s=service.change_sec,
    )
    rules = GateRules(
        token=secret,
        hosts=_names(service),
        max_body=service.max_body_bytes,
        body_s=service.request_sec,
        tls=service.tls_cert is not None,
        heard=changes.confirmation.heard,
    )
    config = server.make_config(make_app(context, rules), service.tls_cert, service.tls_key)
    started()
    server.serve(config, sock, streams, stopped)


def _names(service: ServiceSettings) -> frozenset[str]:
    more = {name.strip("[]").lower() for name in service.allowed_hosts.split(",") if name}
    return LOOPBACK | {service.host.lower(), socket.gethostname().lower()} | more


def _address(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _lock(folder: Path) -> WriterLock:
    try:
        return WriterLock(folder / "lock")
    except StoreError as error:
        message = str(error)
        if "another session" in message:
            raise UsageError(f"another service runs with {folder}: end it, or give this one another --save-dir") from error
        raise
