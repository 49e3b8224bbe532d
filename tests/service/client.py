"""A client of the service that can also misbehave."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def data(self) -> Any:
        """Its JSON."""
        return json.loads(self.text)

    @property
    def error(self) -> dict[str, Any]:
        """Its error, which every answer but a success has."""
        assert self.status >= 400, self
        assert set(self.data) == {"error"}
        error: dict[str, Any] = self.data["error"]
        assert "\n" not in error["message"]
        return error


@dataclass(frozen=True)
class Client:
    """Asks with the token; each request on a connection of its own."""

    url: str
    token: str
    tls: ssl.SSLContext | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        port = urlsplit(self.url).port
        assert port is not None
        return port

    def connect(self) -> http.client.HTTPConnection:
        """A connection."""
        if self.tls is not None:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        raw: bytes | None = None,
        headers: dict[str, str | None] | None = None,
    ) -> Answer:
        """One request; `headers` are added, or left out where None."""
        sent: dict[str, str | None] = {"Authorization": f"Bearer {self.token}"}
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        sent |= headers or {}
        connection = self.connect()
        try:
            given = {name: value for name, value in sent.items() if value is not None}
            connection.request(method, path, data, given)
            response = connection.getresponse()
            text = response.read().decode()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, text)
        finally:
            connection.close()

    def get(self, path: str, **headers: str | None) -> Answer:
        """GET."""
        return self.ask("GET", path, headers=dict(headers))

    def post(self, path: str, body: object = None, **headers: str | None) -> Answer:
        """POST with JSON, or with nothing."""
        return self.ask("POST", path, body, headers=dict(headers))

    def apply(self, key: str | None = None, **knobs: object) -> Answer:
        """POST /apply_knobs."""
        return self.ask("POST", "/apply_knobs", knobs, headers={"Idempotency-Key": key})
