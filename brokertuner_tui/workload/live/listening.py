"""`python -m brokertuner_tui.workload.live.listening FD`: listens to live topics for the parent at the other end of socket FD.

In a process of its own, so that a busy topic costs the tuner nothing. The parent sends JSON objects, one a line: first the
endpoint, the filters and the mode, then empty ones, each answered by the counts so far.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import socket
import sys
import threading
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from brokertuner_tui.mqtt.endpoint import MQTT_5, Endpoint
from brokertuner_tui.mqtt.tls import client_context
from brokertuner_tui.workload.live.sequence import SequenceDetector

_NEVER_RETAINED = 2


class Listening:
    """A client that subscribes at QoS 0 and counts; through every restart of the broker."""

    def __init__(self, endpoint: Endpoint, filters: list[str], mode: str) -> None:
        self._filters, self._detector, self._lock = filters, SequenceDetector(mode), threading.Lock()
        self._connected, self._error, self._lives = False, "", 0
        self._protocol = endpoint.protocol
        version = mqtt.MQTTv5 if endpoint.protocol == MQTT_5 else mqtt.MQTTv311
        # No client id: the broker makes one up, and nobody can be thrown out who happens to have the same.
        client = self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id="", protocol=version, transport=endpoint.transport
        )
        client.suppress_exceptions = True  # else one ends paho's thread
        client.reconnect_delay_set(0.1, 1)  # type: ignore[arg-type]  # it takes fractions
        if endpoint.transport == "websockets":
            client.ws_set_options(path=endpoint.path)
        if endpoint.tls is not None:
            client.tls_set_context(client_context(endpoint.tls))
        if endpoint.username is not None:
            client.username_pw_set(endpoint.username, endpoint.password)
        client.on_connect, client.on_disconnect = self._came, self._went
        client.on_subscribe, client.on_message = self._subscribed, self._message
        client.connect_async(endpoint.host, endpoint.port, keepalive=10)
        client.loop_start()

    def counts(self) -> dict[str, Any]:
        """So far."""
        with self._lock:
            counts = dataclasses.asdict(self._detector.counts)
            return counts | {"connected": self._connected, "error": self._error, "lives": self._lives}

    def _came(self, client: mqtt.Client, _user: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._error = f"the broker refused the connection: {reason}"
            return
        with self._lock:
            self._detector.resync()
        if self._protocol == MQTT_5:
            options = SubscribeOptions(qos=0, retainHandling=_NEVER_RETAINED)
            client.subscribe([(each, options) for each in self._filters])
        else:
            client.subscribe([(each, 0) for each in self._filters])

    def _subscribed(self, _client: mqtt.Client, _user: Any, _mid: Any, reasons: Any, _properties: Any) -> None:
        refused = [each for each, reason in zip(self._filters, reasons, strict=False) if reason.is_failure]
        self._error = f"the broker refused the subscription to {', '.join(refused)}" if refused else ""
        self._connected, self._lives = True, self._lives + 1

    def _went(self, *_: Any) -> None:
        self._connected = False

    def _message(self, _client: mqtt.Client, _user: Any, message: mqtt.MQTTMessage) -> None:
        if not message.retain:  # it was sent before we came
            with self._lock:
                self._detector.message(message.topic, bytes(message.payload))


def main() -> int:
    """Exit code 0: the parent is gone; 2: called by hand."""
    if len(sys.argv) != 2 or not sys.argv[1].isdecimal():
        print("this is started by brokertuner-tui, with the number of its control socket", file=sys.stderr)
        return 2
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    with socket.socket(fileno=int(sys.argv[1])) as sock, sock.makefile("rw") as line:
        told = json.loads(line.readline() or "null")
        if told is None:
            return 0
        listening = Listening(Endpoint.from_dict(told["endpoint"]), told["filters"], told["mode"])
        while line.readline():
            line.write(json.dumps(listening.counts()) + "\n")
            line.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
