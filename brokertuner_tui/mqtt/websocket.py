"""The client's side of WebSocket (RFC 6455) for MQTT, as bytes: no sockets, no waiting.

How to use it, on any socket, blocking or not:

    handshake = Handshake(endpoint.host, endpoint.port, endpoint.path)
    send(handshake.request)
    while not handshake.take(buffer): buffer += receive()   # what came behind the answer stays in `buffer`
    frames = Frames()
    send(frame(mqtt_bytes))                                  # any number of MQTT packets in one frame
    back = frames.feed(received, mqtt_buffer)                # MQTT bytes go to `mqtt_buffer`; send `back` if there is any
    if frames.closed: ...                                    # why, in words
    send(close_frame())                                      # to leave in good order, behind MQTT's DISCONNECT

MQTT is a stream of bytes here as on TCP: one frame may hold several packets or a part of one (MQTT 5.0, 6.0), so frames are
never put together again, and what has come of a frame is handed on at once, however long it says that it is.
"""

from __future__ import annotations

import base64
import hashlib
import os

from brokertuner_tui.mqtt.packets import ProtocolError

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_LONGEST_ANSWER = 16_384  # bytes of an HTTP answer; a broker's has two hundred
_NUMPY_FROM = 1500  # bytes from which numpy masks faster than one long integer does


class WebSocketError(ProtocolError):
    """The peer does not speak WebSocket, or not MQTT over it; the message says how that showed."""


class Handshake:
    """The opening: an HTTP request, and the check of its answer.

    Args:
        host, port, path: of the broker; `path` begins with a slash and has no space or control character.
    """

    def __init__(self, host: str, port: int, path: str) -> None:
        key = base64.b64encode(os.urandom(16))
        self._accept = base64.b64encode(hashlib.sha1(key + _MAGIC, usedforsecurity=False).digest())
        where = f"[{host}]" if ":" in host else host
        self.request = (
            f"GET {path} HTTP/1.1\r\nHost: {where}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key.decode()}\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()

    def take(self, buffer: bytearray) -> bool:
        """Takes the answer off `buffer` and checks it; False, with `buffer` untouched, while it is not whole.

        Raises:
            WebSocketError: it is not the answer of a broker that speaks MQTT over WebSocket.
        """
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(buffer) > _LONGEST_ANSWER or not b"HTTP/1.1 ".startswith(buffer[:9]):
                raise WebSocketError("the port does not speak HTTP, so no WebSocket")
            return False
        head, *lines = bytes(buffer[:end]).split(b"\r\n")
        version, _, status = head.partition(b" ")
        if version != b"HTTP/1.1":
            raise WebSocketError("the port does not speak HTTP, so no WebSocket")
        if status[:3] != b"101":
            raise WebSocketError(f"HTTP status {_shown(status)} came instead of a WebSocket")
        self._check(_headers(lines))
        del buffer[: end + 4]
        return True

    def _check(self, headers: dict[bytes, bytes]) -> None:
        upgrade = headers.get(b"upgrade", b"").lower()
        connection = {part.strip() for part in headers.get(b"connection", b"").lower().split(b",")}
        if upgrade != b"websocket" or b"upgrade" not in connection:
            raise WebSocketError("the HTTP answer is not an upgrade to WebSocket")
        if headers.get(b"sec-websocket-accept") != self._accept:
            raise WebSocketError("the HTTP answer is not to our request (Sec-WebSocket-Accept)")
        if headers.get(b"sec-websocket-protocol") != b"mqtt":
            raise WebSocketError("the WebSocket is not for MQTT (Sec-WebSocket-Protocol)")
        if headers.get(b"sec-websocket-extensions"):
            raise WebSocketError("the WebSocket uses an extension that was not asked for")


def _headers(lines: list[bytes]) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise WebSocketError("an HTTP header that is none")
        name = name.lower()
        headers[name] = headers[name] + b"," + value.strip() if name in headers else value.strip()
    return headers


def _shown(status: bytes) -> str:
    text = status[:60].decode("latin-1").strip()
    return "".join(char if char.isprintable() else "?" for char in text)


def frame(data: bytes | bytearray | memoryview, opcode: int = BINARY) -> bytes:
    """`data` as one masked frame."""
    size = len(data)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 0xFE, size >> 8, size & 0xFF))
    else:
        head = bytes((0x80 | opcode, 0xFF)) + size.to_bytes(8, "big")
    key = os.urandom(4)
    return head + key + masked(data, key)


def masked(data: bytes | bytearray | memoryview, key: bytes) -> bytes:
    """`data`, each byte XOR the byte of the four in `key` that is its turn (RFC 6455, 5.3); twice is not at all."""
    size = len(data)
    if size < _NUMPY_FROM:
        pad = (key * (size // 4 + 1))[:size]
        return (int.from_bytes(data, "little") ^ int.from_bytes(pad, "little")).to_bytes(size, "little")
    import numpy as np  # here: whoever sends no large frames shall not wait for it

    whole = np.zeros((size + 3) // 4, dtype=np.uint32)
    whole.view(np.uint8)[:size] = np.frombuffer(data, dtype=np.uint8)
    whole ^= np.frombuffer(key, dtype=np.uint32)
    return whole.tobytes()[:size]


def close_frame() -> bytes:
    """Says that we leave (status 1000)."""
    return frame(b"\x03\xe8", CLOSE)


class Frames:
    """Takes frames apart as they come in pieces of any size."""

    __slots__ = ("_head", "_in_message", "_left", "closed")

    def __init__(self) -> None:
        self._head = bytearray()
        """A header, or a control frame, that is not whole yet."""
        self._left = 0
        """Bytes of the data frame's payload that have yet to come."""
        self._in_message = False
        self.closed: str | None = None
        """Why the peer ended the WebSocket, once it has; what comes behind is ignored."""

    def feed(self, data: bytes | bytearray | memoryview, into: bytearray) -> bytes:
        """Appends the MQTT bytes in `data` to `into`; gives what has to be sent back (pong, close), or nothing.

        Raises:
            WebSocketError: this is not WebSocket as a server may speak it.
        """
        if self._head:
            data = bytes(self._head) + bytes(data)
            self._head.clear()
        at, end = 0, len(data)
        view = memoryview(data)
        back = b""
        while at < end and self.closed is None:
            if self._left:
                size = min(self._left, end - at)
                into += view[at : at + size]
                self._left -= size
                at += size
                continue
            first = data[at]
            size = data[at + 1] if at + 1 < end else -1
            if size > 127:
                raise WebSocketError("a frame that is masked: that is for clients")
            start = at + (2 if size < 126 else 4 if size == 126 else 10)
            if size < 0 or start > end:
                self._head += view[at:]
                break
            if size >= 126:
                size = int.from_bytes(view[at + 2 : start], "big")
            if first == 0x82 and not self._in_message:  # nearly every frame
                self._left, at = size, start
            elif first & 0x08:
                self._check_control(first, size)
                if start + size > end:
                    self._head += view[at:]
                    break
                back += self._control(first & 0x0F, bytes(view[start : start + size]))
                at = start + size
            else:
                self._begin(first)
                self._left, at = size, start
        return back

    def _begin(self, first: int) -> None:
        """A data frame that is not a whole binary message."""
        kind, more = first & 0x0F, not first & 0x80
        if first & 0x70 or kind not in (CONTINUATION, BINARY) or (kind == CONTINUATION) != self._in_message:
            raise WebSocketError(f"a frame that must not be here (0x{first:02x})")
        self._in_message = more

    @staticmethod
    def _check_control(first: int, size: int) -> None:
        if first & 0xF0 != 0x80 or first & 0x0F not in (CLOSE, PING, PONG) or size > 125:
            raise WebSocketError(f"a control frame that is none (0x{first:02x}, {size} bytes)")

    def _control(self, kind: int, payload: bytes) -> bytes:
        if kind == PING:
            return frame(payload, PONG)
        if kind == PONG:
            return b""
        code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 0
        said = payload[2:].decode(errors="replace")
        said = "".join(char if char.isprintable() else "?" for char in said)
        self.closed = "the broker closed the WebSocket" + (f" (status {code}{', ' + said if said else ''})" if code else "")
        return frame(payload[:2], CLOSE)
