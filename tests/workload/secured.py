"""A managed broker with every kind of listener beside its own, and the certificates for them."""

from __future__ import annotations

import base64
import hashlib
import socket
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.mqtt.endpoint import Endpoint, Tls

USER, PASSWORD = "ann", "s3cret"
TRANSPORTS = ("tcp", "tls", "mtls", "ws", "wss")
"""`mtls`: TLS with a client's certificate."""


@dataclass(frozen=True)
class Certificates:
    """An authority, what it signed, and one that nobody knows."""

    folder: Path

    def __getattr__(self, name: str) -> Path:
        return self.folder / name.replace("_", ".")


def make_certificates(folder: Path) -> Certificates:
    """A server for `localhost` and 127.0.0.1, and a client, signed by `ca_crt`; `other_crt` signed nobody."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    for name, extra in {
        "ca": (),
        "other": (),
        "server": ("-CA", "ca.crt", "-CAkey", "ca.key", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        "client": ("-CA", "ca.crt", "-CAkey", "ca.key"),
    }.items():
        command = ["openssl", "req", "-x509", *key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt"]
        subprocess.run([*command, *extra], cwd=folder, check=True, capture_output=True, timeout=30)
    return Certificates(folder)


class Secured:
    """A broker, and the endpoints of its listeners."""

    def __init__(self, mosquitto: Path, folder: Path, certificates: Certificates) -> None:
        folder.mkdir()
        self.certificates = certificates
        with_tls = f"certfile {certificates.server_crt}\nkeyfile {certificates.server_key}\n"
        of = {
            "tcp": "",
            "tls": with_tls,
            "mtls": f"{with_tls}cafile {certificates.ca_crt}\nrequire_certificate true\n",
            "ws": "protocol websockets\n",
            "wss": f"protocol websockets\n{with_tls}",
        }
        self.ports = dict(zip(of, _free_ports(len(of)), strict=True))
        passwords = folder / "passwords"
        passwords.write_text(f"{USER}:{_hashed(PASSWORD)}\n")
        passwords.chmod(0o600)
        conf = folder / "extra.conf"
        lines = [f"listener {port} 127.0.0.1\n{of[kind]}" for kind, port in self.ports.items()]
        conf.write_text(f"password_file {passwords}\n" + "".join(lines))
        self.broker = ManagedBroker(mosquitto, folder / "broker", extra_conf=conf)

    def endpoint(self, transport: str, *, username: str | None = USER, password: str | None = PASSWORD) -> Endpoint:
        """How one gets in by this listener."""
        certificates = self.certificates
        tls = Tls(ca_file=certificates.ca_crt) if transport in ("tls", "mtls", "wss") else None
        if tls is not None and transport == "mtls":
            tls = replace(tls, cert_file=certificates.client_crt, key_file=certificates.client_key)
        return Endpoint(
            "127.0.0.1",
            self.ports[transport],
            transport="websockets" if transport.startswith("ws") else "tcp",
            tls=tls,
            username=username,
            password=password,
        )


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(sock.getsockname()[1]) for sock in held]
    for sock in held:
        sock.close()
    return ports


def _hashed(password: str) -> str:
    """As `mosquitto_passwd` writes it: PBKDF2 with SHA-512."""
    salt = b"twelve bytes"
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    return f"$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
