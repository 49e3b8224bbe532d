"""A store on PostgreSQL: its engine, its tables, and the lock that says who writes.

The lock is an advisory one, of a session of the server: it ends with its connection, whatever ended that. A pooler between
us and the server must therefore keep sessions (PgBouncer: `pool_mode = session`).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, insert, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from brokertuner_tui.store import migrations, plain, schema
from brokertuner_tui.store.engine import check_version
from brokertuner_tui.store.errors import NothingYet, StoreAway, StoreError, WriterElsewhere
from brokertuner_tui.store.place import Server
from brokertuner_tui.store.trouble import words

CONNECT_TIMEOUT_S = 10
STATEMENT_TIMEOUT_MS = 15_000
POOL_TIMEOUT_S = 30.0
_LOCK_CLASS = 0x42545549
"""Ours among the advisory locks of a database; the other half of the key is the schema's name, hashed."""
_FOR_NOW = ("starting up", "shutting down", "recovery", "too many", "not yet accepting", "remaining connection")
"""What a server says that will let us in later; after any other `FATAL:` waiting is of no use."""


def shown(server: Server) -> str:
    """The URL for messages."""
    return _url(server).set(drivername="postgresql").render_as_string(hide_password=True)


def _url(server: Server) -> URL:
    try:
        url = make_url(server.url)
    except (ArgumentError, ValueError) as error:
        raise StoreError("the store's URL is not one: postgresql://USER@HOST:PORT/DATABASE is meant") from error
    if url.get_backend_name() != "postgresql":
        raise StoreError(f"a store can be on PostgreSQL (postgresql://...), not on {url.get_backend_name()}")
    return url.set(drivername="postgresql+psycopg")


def open_engine(server: Server, *, read_only: bool = False, pool_timeout_s: float = POOL_TIMEOUT_S) -> Engine:
    """An engine that has not connected yet.

    Raises:
        StoreError: the driver is missing, or the URL or the password's file is of no use. No password is shown.
    """
    url = _url(server)
    options = [f"-c statement_timeout={STATEMENT_TIMEOUT_MS}", "-c timezone=UTC"]
    if read_only:
        options.append("-c default_transaction_read_only=on")
    own = url.query.get("options")
    arguments: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "application_name": _name(),
        "options": " ".join([*([own] if isinstance(own, str) else []), *options]),
        # A host that is gone without a word is noticed after some 25 s.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 25_000,
    }
    password = server.password()
    if password is not None:
        arguments["password"] = password
    try:
        return create_engine(
            url.difference_update_query(["options"]),
            connect_args=arguments,
            json_serializer=plain.dumps,
            pool_size=5,
            max_overflow=10,
            pool_timeout=pool_timeout_s,
            pool_recycle=1800,
            pool_pre_ping=True,
        )
    except (ImportError, NoSuchModuleError) as error:
        raise StoreError(
            f"a store on PostgreSQL needs its driver: pip install 'brokertuner-tui[postgres]' ({' '.join(str(error).split())})"
        ) from error
    except (ArgumentError, TypeError, ValueError) as error:
        raise StoreError(f"the store's URL is of no use: {' '.join(str(error).split())}") from error


def _name() -> str:
    # At most 63 bytes; the token tells our own connection that was cut from another process with the same PID in a container.
    return f"brokertuner-tui {socket.gethostname()[:25]}:{os.getpid()} {_TOKEN}"


_TOKEN = secrets.token_hex(4)


def will_pass(error: SQLAlchemyError) -> bool:
    """Whether trying again later may help, the server itself being what is wrong."""
    if not isinstance(error, OperationalError):
        return False
    said = words(error)
    return "FATAL:" not in said or any(part in said for part in _FOR_NOW)


@contextmanager
def speaking(where: str) -> Iterator[None]:
    """Turns the database's errors into one line that names `where`."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        raise StoreAway(f"{where}: {words(error)}") from error
    except SQLAlchemyError as error:
        raise StoreError(f"{where}: {words(error)}") from error


def look_at(connection: Connection, where: str) -> int:
    """The version of the tables; 0 where there are none yet.

    Raises:
        StoreError: they are another program's, or a newer version's.
    """
    if not inspect(connection).has_table("schema_version"):
        return 0
    row = connection.execute(select(schema.schema_version)).one_or_none()
    application, version = (row[0], row[1]) if row else ("", 0)
    check_version(where, application, version)
    return int(version)


def prepare(connection: Connection, where: str) -> None:
    """Makes the tables, or brings them up to date; in the transaction of the caller, who holds the lock.

    Raises:
        StoreError: they are another program's, or a newer version's; nothing was changed.
    """
    have = look_at(connection, where)
    if not have:
        schema.metadata.create_all(connection, checkfirst=False)
        version = {"application": schema.APPLICATION, "version": schema.VERSION}
        connection.execute(insert(schema.schema_version), version)
    elif have < schema.VERSION:
        connection.execute(text("SET LOCAL statement_timeout = 0"))  # a large table may take its time
        migrations.migrate(connection, have, where)


def open_reader(server: Server) -> Engine:
    """An engine that cannot write.

    Raises:
        StoreError: there is no store, or it is not ours or not of our version, or no server.
    """
    engine, where = open_engine(server, read_only=True), shown(server)
    try:
        with speaking(where), engine.connect() as connection:
            have = look_at(connection, where)
    except StoreError:
        engine.dispose()
        raise
    if have != schema.VERSION:
        engine.dispose()
        if not have:
            raise NothingYet(f"{where}: there is nothing in it yet")
        raise StoreError(
            f"{where} is of an older brokertuner-tui (store version {have}): the next session brings it up to date"
        )
    return engine


@dataclass(slots=True)
class Link:
    """The one connection that writes, and the lock that is held by it."""

    engine: Engine
    where: str
    _connection: Connection | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._connection is not None

    def open(self) -> Connection:
        """The connection, made and locked where there is none.

        Raises:
            WriterElsewhere: another session writes.
            SQLAlchemyError: the server is away.
        """
        if self._connection is None:
            connection = self.engine.connect()
            try:
                self._lock(connection)
            except BaseException:
                connection.invalidate()
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def drop(self) -> None:
        """Lets go of the connection, and with it of the lock."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(SQLAlchemyError):
                connection.invalidate()
                connection.close()

    def hang_up(self) -> None:
        """Ends what another thread is waiting for on the connection; that thread gets an error."""
        connection = self._connection
        with contextlib.suppress(Exception):  # it may be closed at this very moment, in that thread
            if connection is not None:
                raw: Any = connection.connection.driver_connection
                with socket.socket(fileno=os.dup(raw.fileno())) as wire:
                    wire.shutdown(socket.SHUT_RDWR)

    def _lock(self, connection: Connection) -> None:
        for _ in range(2):
            with connection.begin():
                query = text("SELECT pg_try_advisory_lock(:class, hashtext(current_schema()))")
                taken = connection.scalar(query, {"class": _LOCK_CLASS})
                if taken:
                    return
                if taken is None:
                    raise StoreError(f"{self.where}: there is no schema for the tables in this role's search_path")
                pid, name = self._holder(connection)
                if name != _name() or pid is None:
                    break
                # Our own, cut off: the server has not noticed yet.
                connection.execute(text("SELECT pg_terminate_backend(:pid, 2000)"), {"pid": pid})
        _, host, process = ("", *name.split()[1].rpartition(":")[::2]) if name.startswith("brokertuner-tui ") else ("", "", "")
        who = f"process {process} on {host}" if host else name or "not known which"
        raise WriterElsewhere(
            f"another session ({who}) is writing to {self.where}: end it, or give this one another [store] url"
        )

    def _holder(self, connection: Connection) -> tuple[int | None, str]:
        query = text(
            "SELECT a.pid, a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
            "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid = CAST(:class AS oid) "
            "AND l.objid = CAST((CAST(hashtext(current_schema()) AS bigint) & 4294967295) AS oid) "
            "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        row = connection.execute(query, {"class": _LOCK_CLASS}).first()
        return (None, "") if row is None else (row[0], row[1] or "")
