"""How clients get in at a broker that was there before us: from `[broker]`, and the password, which is no setting."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from brokertuner_tui.config.settings import BrokerSettings
from brokertuner_tui.errors import UsageError
from brokertuner_tui.mqtt.endpoint import MQTT_3_1_1, MQTT_5, Endpoint, Tls
from brokertuner_tui.redaction import hide

PASSWORD_VARIABLE = "BROKERTUNER_BROKER_PASSWORD"
_LONGEST_PASSWORD = 65_535  # bytes that MQTT has room for
_BY_OTHERS = stat.S_IROTH | stat.S_IWOTH


def endpoint_of(
    settings: BrokerSettings, *, host: str | None = None, port: int | None = None, environ: Mapping[str, str] | None = None
) -> Endpoint:
    """Where `[broker]` says that a broker is which we do not manage, and how a client gets in there.

    Args:
        host, port: instead of the settings'; a port of 0 is the usual one: 1883, with TLS 8883, for WebSocket 9001.
        environ: the environment; None: this process's.

    Raises:
        UsageError: two settings contradict each other, or the password's file cannot be used; the message names them.
    """
    check(settings)
    password = read_password(settings, os.environ if environ is None else environ)
    if password is not None and settings.username is None and settings.protocol != "5":
        raise UsageError('a password without broker.username is for broker.protocol = "5"; MQTT 3.1.1 has none')
    port = settings.port if port is None else port
    return Endpoint(
        host=settings.host if host is None else host,
        port=port or usual_port(settings),
        protocol=MQTT_5 if settings.protocol == "5" else MQTT_3_1_1,
        transport=settings.transport,
        path=settings.ws_path,
        tls=_tls(settings),
        username=settings.username,
        password=password,
    )


def usual_port(settings: BrokerSettings) -> int:
    """Where brokers listen when nobody says otherwise (IANA's for MQTT; what Mosquitto's examples take for WebSocket)."""
    if settings.transport == "websockets":
        return 9001
    return 8883 if settings.tls else 1883


def check(settings: BrokerSettings) -> None:
    """Checks what no setting can say alone.

    Raises:
        UsageError: the first contradiction.
    """
    if not settings.tls:
        for name in ("ca_file", "cert_file", "key_file", "tls_name"):
            if (value := getattr(settings, name)) is not None:
                raise UsageError(f"broker.{name} = {str(value)!r}: is for broker.tls = true, which it is not")
    for name, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
        if getattr(settings, name) is not None and getattr(settings, other) is None:
            raise UsageError(
                f"broker.{name} = {str(getattr(settings, name))!r}: needs broker.{other}, too (the same file, if it holds both)"
            )


def read_password(settings: BrokerSettings, environ: Mapping[str, str]) -> str | None:
    """The password, from the file or the environment; None where there is none.

    Raises:
        UsageError: both are given, or the file is missing, not readable, readable by others, empty, or no text.
    """
    given = environ.get(PASSWORD_VARIABLE) or None
    path = settings.password_file
    if path is None:
        if given is not None and len(given.encode(errors="surrogateescape")) > _LONGEST_PASSWORD:
            raise UsageError(f"{PASSWORD_VARIABLE}: is longer than {_LONGEST_PASSWORD} bytes")
        hide(given or "")
        return given
    if given is not None:
        raise UsageError(f"the password comes from broker.password_file {path} or from {PASSWORD_VARIABLE}, not from both")
    try:
        return read_secret_file(path, _LONGEST_PASSWORD).decode()
    except UnicodeDecodeError:
        raise UsageError(f"broker.password_file {path}: its first line is not UTF-8 text") from None
    except SecretFileError as error:
        raise UsageError(f"broker.password_file {error}") from None


class SecretFileError(UsageError):
    """A file that should hold a secret cannot be used; the message begins with its path."""


def read_secret_file(path: Path, longest: int) -> bytes:
    """The first line of a file that holds a secret, without its line break.

    Args:
        longest: bytes that the line may have.

    Raises:
        SecretFileError: it is missing, no file, readable or writable by others than its owner and group, or empty.
    """
    try:
        # Without waiting for a writer, should it be a pipe; looked at when it is open: no other file can take its place.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SecretFileError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise SecretFileError(f"{path}: is not a file")
        if mode & _BY_OTHERS:
            raise SecretFileError(f"{path}: others can read or write it: chmod 600 {path}")
        with open(descriptor, "rb", closefd=False) as file:
            line = file.readline(longest + 3)
    except OSError as error:
        raise SecretFileError(f"{path}: cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    line = line.removesuffix(b"\n").removesuffix(b"\r")
    if not line:
        raise SecretFileError(f"{path}: its first line is empty")
    if len(line) > longest:
        raise SecretFileError(f"{path}: its first line is longer than {longest} bytes")
    hide(line.decode(errors="replace"))
    return line


def _tls(settings: BrokerSettings) -> Tls | None:
    if not settings.tls:
        return None
    return Tls(settings.ca_file, settings.cert_file, settings.key_file, settings.tls_name)
