"""Where the store is: a file in the folder of results, or a database's server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from brokertuner_tui.errors import UsageError

if TYPE_CHECKING:
    from brokertuner_tui.config.settings import StoreSettings

FILE_NAME = "store.db"
SPOOL_NAME = "spool.db"
_PASSWORD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL database."""

    url: str
    """`postgresql://USER@HOST:PORT/DATABASE`, without a password."""
    spool: Path
    """The file where writes wait while the database is away."""
    password_file: Path | None = None
    spool_bytes: int = 64 * 2**20
    connect_attempts: int = 5
    connect_wait_s: float = 10.0

    def password(self) -> str | None:
        """The first line of the password's file; None where there is no such file (libpq has its own ways then).

        Raises:
            UsageError: it cannot be read, is empty, or others may read it.
        """
        from brokertuner_tui.config.credentials import read_secret_file

        if self.password_file is None:
            return None
        try:
            return read_secret_file(self.password_file, _PASSWORD_BYTES).decode()
        except (UsageError, ValueError) as error:
            raise UsageError(f"store.password_file {error}") from None


def place_of(settings: StoreSettings, save_dir: Path) -> Path | Server:
    """Where the store is, by the settings."""
    if settings.url is None:
        return save_dir / FILE_NAME
    return Server(
        url=settings.url,
        spool=save_dir / SPOOL_NAME,
        password_file=settings.password_file,
        spool_bytes=settings.spool_mib * 2**20,
        connect_attempts=settings.connect_attempts,
        connect_wait_s=settings.connect_wait_sec,
    )
