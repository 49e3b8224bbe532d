"""Where and how an MQTT client reaches a broker: the one description that probes, `$SYS` and the load share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Transport = Literal["tcp", "websockets"]
MQTT_3_1_1, MQTT_5 = 4, 5


@dataclass(frozen=True, slots=True)
class Tls:
    """How the connection is encrypted, and who must be at its other end."""

    ca_file: Path | None = None
    """Whom to believe; None: whom the system believes."""
    cert_file: Path | None = None
    """Who we are, for brokers that ask."""
    key_file: Path | None = None
    server_name: str | None = None
    """The name that the broker's certificate must have; None: the host's."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One listener of a broker, and who we are there. The password shows in no `repr`."""

    host: str
    port: int
    protocol: int = MQTT_5
    """What probes speak: 4 (MQTT 3.1.1) or 5. A load's clients speak what its profile says."""
    transport: Transport = "tcp"
    path: str = "/mqtt"
    """Of a WebSocket."""
    tls: Tls | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """`mqtts://broker:8883`, without who we are."""
        scheme = {"tcp": "mqtt", "websockets": "ws"}[self.transport] + ("s" if self.tls else "")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}" + (self.path if self.transport == "websockets" else "")

    def as_dict(self) -> dict[str, Any]:
        """For JSON between processes, the password too: never for a log, the store or a command line."""
        tls = self.tls
        paths = None
        if tls is not None:
            names = ("ca_file", "cert_file", "key_file", "server_name")
            paths = {name: str(value) if (value := getattr(tls, name)) is not None else None for name in names}
        return {
            "host": self.host,
            "port": self.port,
            "protocol": self.protocol,
            "transport": self.transport,
            "path": self.path,
            "tls": paths,
            "username": self.username,
            "password": self.password,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Endpoint:
        """From what `as_dict` gave."""
        values = dict(data)
        if values.get("tls") is not None:
            told: dict[str, Any] = dict(values["tls"])
            name = told.pop("server_name")
            values["tls"] = Tls(**{key: Path(path) if path else None for key, path in told.items()}, server_name=name)
        return cls(**values)
