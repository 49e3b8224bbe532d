"""Where an agent is, what proves who we are, and whom we believe. Checked before a byte is sent."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from brokertuner_tui.config.credentials import SecretFileError, read_secret_file
from brokertuner_tui.errors import UsageError

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class AgentTarget:
    """An agent's address. The token shows in no `repr`."""

    scheme: str
    host: str
    port: int
    token: str = field(repr=False)
    ca_file: Path | None = None
    """Whom to believe; None: whom the system believes."""

    def __str__(self) -> str:
        """The URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def tls(self) -> ssl.SSLContext | None:
        """What checks the agent's certificate and its name; None for plain HTTP.

        Raises:
            UsageError: `ca_file` cannot be read, or holds no certificate.
        """
        if self.scheme == "http":
            return None
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"{self.ca_file}: cannot be used as certificates to believe: {error}") from None


def is_loopback(host: str) -> bool:
    """Whether `host` can only be this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def make_target(url: str | None, token_file: Path | None, ca_file: Path | None = None) -> AgentTarget:
    """The agent at `url`.

    Raises:
        UsageError: the URL is none, or plain HTTP to another machine; the token file is missing or readable by others.
    """
    if not url:
        raise UsageError("broker.url is not set: where the agent is, like https://host:8080")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"broker.url = {url!r}: {error}; must be like https://host:8080") from None
    if parts.scheme not in _PORTS or not host or parts.path not in ("", "/") or parts.query or parts.fragment or parts.username:
        raise UsageError(f"broker.url = {url!r}: must be like https://host:8080")
    if parts.scheme == "http" and not is_loopback(host):
        raise UsageError(f"broker.url = {url!r}: must be https, or http to this machine: the token would travel unencrypted")
    if token_file is None:
        raise UsageError(f"broker.token_file is not set: the agent at {url} asks for its token; copy its token file here")
    return AgentTarget(parts.scheme, host, port or _PORTS[parts.scheme], read_token(token_file), ca_file)


def read_token(path: Path) -> str:
    """The token in `path`.

    Raises:
        UsageError: the file cannot be read, holds no token, or can be read by others.
    """
    try:
        token = read_secret_file(path, 4096).decode("ascii").strip()
    except SecretFileError as error:
        raise UsageError(f"broker.token_file {error}") from None
    except UnicodeDecodeError:
        token = ""
    if not token or not token.isprintable() or " " in token:
        raise UsageError(f"broker.token_file {path}: holds no token (one line of printable ASCII characters)")
    return token
