"""A real Mosquitto that lets in only those who log in: plain, TLS and WebSocket listeners, made for one test and ended with it.

    with start_secured(mosquitto, tmp_path, listeners=("tls", "wss")) as broker:
        Probe(broker.endpoint("tls"), ...)                       # logs in as USERNAME, trusts the test's own CA
        Probe(broker.endpoint("tls", password="wrong"), ...)

Certificates are made anew each time: none is kept that could expire.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import ipaddress
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from brokertuner_tui.broker.ports import free_port
from brokertuner_tui.mqtt.endpoint import Endpoint, Tls
from brokertuner_tui.process.child import Child

HOST = "127.0.0.1"
USERNAME, PASSWORD = "tuner", "correct horse: ünï"
LISTENERS = ("plain", "tls", "mtls", "ws", "wss")
"""`mtls` asks for a certificate, and takes its name as the user's. There is also `old`, without MQTT 5 (from 2.1 on)."""


@dataclass(frozen=True)
class Identity:
    """A certificate and its key, as files."""

    cert_file: Path
    key_file: Path


class Authority:
    """A CA of the test's own, in `folder`."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder, self._name = folder, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test {name}")])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.ca_file = folder / f"{name}.pem"
        builder = self._builder(self._name, self._key, -1, 1).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.ca_file.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, names: Sequence[str] = (), begins_days: float = -1, ends_days: float = 1) -> Identity:
        """A certificate for `name`, valid for `names` (host names and addresses) and from when to when, in days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, key, begins_days, ends_days)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(one) for one in names]), critical=False)
        made = Identity(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        made.cert_file.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        write_key(made.key_file, key)
        return made

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, begins_days: float, ends_days: float
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=begins_days))
            .not_valid_after(now + datetime.timedelta(days=ends_days))
        )


def write_key(path: Path, key: ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> None:
    """Writes `key` as PEM, 0600."""
    hidden = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden))


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@dataclass
class Secured:
    """The broker that runs."""

    mosquitto: Path
    child: Child
    ports: Mapping[str, int]
    """By listener; there is always a `plain` one."""
    authority: Authority
    client: Identity
    """What `mtls` asks for; its name is `client`."""
    folder: Path

    @property
    def log(self) -> str:
        """What it has said so far."""
        return (self.folder / "log").read_text()

    def restart(self) -> None:
        """Ends it and starts it again, with the same listeners."""
        self.child.stop(5.0)
        self.child = Child([self.mosquitto, "-c", self.folder / "mosquitto.conf"], log_path=self.folder / "log")
        _await(self)

    def endpoint(self, listener: str = "plain", **changes: Any) -> Endpoint:
        """How to get in at `listener`; `changes` are to the Endpoint's fields."""
        tls = Tls(self.authority.ca_file) if listener in ("tls", "mtls", "wss") else None
        if tls and listener == "mtls":
            tls = replace(tls, cert_file=self.client.cert_file, key_file=self.client.key_file)
        made = Endpoint(
            HOST,
            self.ports[listener],
            transport="websockets" if listener in ("ws", "wss") else "tcp",
            tls=tls,
            username=USERNAME if listener != "mtls" else None,
            password=PASSWORD if listener != "mtls" else None,
        )
        return replace(made, **changes)


@contextlib.contextmanager
def start_secured(
    mosquitto: Path,
    folder: Path,
    *,
    listeners: Sequence[str] = ("plain",),
    users: Mapping[str, str] | None = None,
    conf: str = "",
    acl: str = "",
    server: Identity | None = None,
    authority: Authority | None = None,
) -> Iterator[Secured]:
    """Runs `mosquitto` with `listeners`, and `users` (name to password) alone let in, until the block ends.

    Skips the test where this Mosquitto cannot do what is asked of it, and says why.

    Args:
        conf: more lines for mosquitto.conf, above the listeners; acl: lines of an ACL file.
        server: its certificate; None: a good one for 127.0.0.1 and localhost.
    """
    authority = authority or Authority(folder)
    server = server or authority.issue("server", names=(HOST, "localhost"))
    client = authority.issue("client")
    passwords = folder / "passwords"
    passwords.touch(mode=0o600)
    passwords.write_text("".join(password_line(name, word) for name, word in (users or {USERNAME: PASSWORD}).items()))
    ports = {name: free_port(HOST) for name in dict.fromkeys(("plain", *listeners))}
    lines = ["allow_anonymous false", f"password_file {passwords}", "log_dest stderr", "sys_interval 1", conf]
    if os.geteuid() == 0:
        lines.append("user root")
    if acl:
        (folder / "acl").touch(mode=0o600)
        (folder / "acl").write_text(acl)
        lines.append(f"acl_file {folder / 'acl'}")
    for name, port in ports.items():
        lines += _listener(name, port, authority, server)
    (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
    child = Child([mosquitto, "-c", folder / "mosquitto.conf"], log_path=folder / "log")
    made = Secured(mosquitto, child, ports, authority, client, folder)
    try:
        _await(made)
        yield made
    finally:
        made.child.stop(5.0)


def _listener(name: str, port: int, authority: Authority, server: Identity) -> list[str]:
    lines = [f"listener {port} {HOST}"]
    if name in ("ws", "wss"):
        lines.append("protocol websockets")
    if name in ("tls", "mtls", "wss"):
        lines += [f"cafile {authority.ca_file}", f"certfile {server.cert_file}", f"keyfile {server.key_file}"]
    if name == "old":
        lines.append("accept_protocol_versions 3, 4")
    if name == "mtls":
        lines += ["require_certificate true", "use_identity_as_username true"]
    return lines


def _await(broker: Secured) -> None:
    deadline = time.monotonic() + 20
    for port in broker.ports.values():
        while True:
            if broker.child.exit_code() is not None:
                if "not available" in broker.log or "not supported" in broker.log or "ebsockets support" in broker.log:
                    pytest.skip(f"this Mosquitto cannot: {broker.log.strip().splitlines()[-1]}")
                raise AssertionError(broker.log)
            try:
                socket.create_connection((HOST, port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, broker.log
                time.sleep(0.005)


def password_line(name: str, password: str) -> str:
    """A line of a password file, as mosquitto_passwd writes it (PBKDF2 with SHA-512)."""
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    return f"{name}:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"
