"""All checks, in an order in which each explains the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from brokertuner_tui.config.settings import Settings
from brokertuner_tui.doctor import broker, leftovers, machine, storage
from brokertuner_tui.doctor.finding import Finding, failure
from brokertuner_tui.errors import TunerError

Check = Callable[[], Iterator[Finding]]


def examine(settings: Settings, save_dir: Path) -> Iterator[Finding]:
    """Every finding as soon as it is known; a check that fails itself is a finding, too, and the others go on.

    Nothing is changed: a managed broker is tried out in a folder and on a port of its own, any other is only asked.
    """
    for check in _checks(settings, save_dir):
        try:
            yield from check()
        except TunerError as error:
            yield failure(check.__name__.strip("_").replace("_", " "), str(error), "it could not be looked at")


def _checks(settings: Settings, save_dir: Path) -> list[Check]:
    def broker_() -> Iterator[Finding]:
        return broker.broker(settings.broker)

    def save_dir_() -> Iterator[Finding]:
        return storage.save_dir(save_dir)

    def session() -> Iterator[Finding]:
        return leftovers.session(settings.store, save_dir)

    def store() -> Iterator[Finding]:
        return storage.store(settings.store, save_dir)

    def store_password() -> Iterator[Finding]:
        return storage.secret("store password", settings.store.password_file)

    def password_file() -> Iterator[Finding]:
        return storage.secret("password file", settings.broker.password_file)

    def token_file() -> Iterator[Finding]:
        return storage.secret("token file", settings.broker.token_file)

    return [
        machine.versions, machine.cores, machine.memory, machine.open_files, machine.systemd, machine.load_tools,
        leftovers.orphans, save_dir_, session, store, store_password, password_file, token_file, broker_,
    ]  # fmt: skip
