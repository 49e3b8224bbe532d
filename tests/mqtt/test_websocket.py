"""WebSocket against the standard's own examples, and against whatever else may come from outside."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokertuner_tui.mqtt import websocket
from brokertuner_tui.mqtt.websocket import BINARY, CLOSE, PING, PONG, Frames, Handshake, WebSocketError, frame, masked


def server_frame(data: bytes, first: int = 0x82) -> bytes:
    """As a server sends it: not masked."""
    size = len(data)
    if size < 126:
        return bytes((first, size)) + data
    return (
        bytes((first, 126)) + struct.pack("!H", size) + data
        if size < 65_536
        else bytes((first, 127)) + struct.pack("!Q", size) + data
    )


def unmasked(data: bytes) -> tuple[int, bytes]:
    """The first byte and the payload of one frame that a client sent, taken apart byte by byte."""
    assert data[1] & 0x80
    size, start = data[1] & 0x7F, 2
    if size == 126:
        size, start = struct.unpack("!H", data[2:4])[0], 4
    elif size == 127:
        size, start = struct.unpack("!Q", data[2:10])[0], 10
    key, payload = data[start : start + 4], data[start + 4 :]
    assert len(payload) == size
    return data[0], bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """`data` in pieces, cut at `places` (modulo its length)."""
    at = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[first:last] for first, last in itertools.pairwise(at)]


def answer_to(request: bytes, *changes: tuple[bytes, bytes]) -> bytes:
    """What a good server answers, then changed."""
    key = re.search(rb"Sec-WebSocket-Key: (.+)\r\n", request)
    assert key is not None
    accept = base64.b64encode(hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
    answer += b"sec-websocket-accept:" + accept + b"\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
    for old, new in changes:
        assert old in answer
        answer = answer.replace(old, new)
    return answer


def test_the_standards_examples() -> None:
    """RFC 6455, 5.7."""
    into = bytearray()
    assert unmasked(bytes.fromhex("818537fa213d7f9f4d5158")) == (0x81, b"Hello")
    assert masked(b"Hello", bytes.fromhex("37fa213d")) == bytes.fromhex("7f9f4d5158")
    back = Frames().feed(bytes.fromhex("890548656c6c6f"), into)
    assert unmasked(back) == (0x80 | PONG, b"Hello")
    assert into == b""


@given(st.binary(max_size=9000), st.binary(min_size=4, max_size=4))
def test_masks(data: bytes, key: bytes) -> None:
    assert masked(data, key) == bytes(byte ^ key[index % 4] for index, byte in enumerate(data))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 1499, 1500, 1501, 1502, 1503, 65_535, 65_536, 200_001])
def test_frames_out(size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
    made = frame(memoryview(bytearray(data)))
    assert unmasked(made) == (0x80 | BINARY, data)
    assert made[-size - 4 : -size or None] != frame(data)[-size - 4 : -size or None] or size == 0  # a new key for each


PIECES = st.lists(st.tuples(st.sampled_from(["whole", "split", "ping", "pong"]), st.binary(max_size=300)), max_size=6)


@given(PIECES, st.lists(st.integers(0, 5000), max_size=12))
def test_frames_in_pieces_of_any_size(pieces: list[tuple[str, bytes]], places: list[int]) -> None:
    sent, expected, pings = bytearray(), bytearray(), []
    for kind, data in pieces:
        if kind == "whole":
            sent += server_frame(data)
        elif kind == "split":  # three fragments, with a ping between them
            third = len(data) // 3
            sent += server_frame(data[:third], 0x02) + server_frame(b"p", 0x80 | PING)
            sent += server_frame(data[third : 2 * third], 0x00) + server_frame(data[2 * third :], 0x80)
            pings.append(b"p")
        else:
            sent += server_frame(data[:125], 0x80 | (PING if kind == "ping" else PONG))
            pings += [data[:125]] if kind == "ping" else []
        if kind in ("whole", "split"):
            expected += data
    frames, into, back = Frames(), bytearray(), []
    for piece in cut(bytes(sent), places):
        back.append(frames.feed(piece, into))
    assert into == expected
    answers = b"".join(back)
    for ping in pings:
        end = 6 + len(ping)
        assert unmasked(answers[:end]) == (0x80 | PONG, ping)
        answers = answers[end:]
    assert answers == b""
    assert frames.closed is None


@pytest.mark.parametrize("size", [126, 65_535, 65_536, 100_000])
def test_large_frames(size: int) -> None:
    into, frames = bytearray(), Frames()
    data = server_frame(bytes(size))
    for start in range(0, len(data), 999):
        assert frames.feed(bytearray(data[start : start + 999]), into) == b""
    assert len(into) == size


def test_what_has_come_of_a_frame_is_handed_on_at_once() -> None:
    """Also of one that claims to be enormous: nothing is kept."""
    frames, into = Frames(), bytearray()
    frames.feed(b"\x82\x7f" + struct.pack("!Q", 2**62) + b"abc", into)
    assert into == b"abc"
    frames.feed(b"de", into)
    assert into == b"abcde"


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "the broker closed the WebSocket"),
        (b"\x03\xf1", "the broker closed the WebSocket (status 1009)"),
        (b"\x03\xe9go\nnow\xff", "the broker closed the WebSocket (status 1001, go?now\ufffd)"),
    ],
)
def test_close(payload: bytes, said: str) -> None:
    frames, into = Frames(), bytearray()
    back = frames.feed(server_frame(b"last") + server_frame(payload, 0x80 | CLOSE) + b"\xff\xff\xff", into)
    assert into == b"last"
    assert frames.closed == said
    assert unmasked(back) == (0x80 | CLOSE, payload[:2])
    assert frames.feed(b"\xff\xff", into) == b""


@pytest.mark.parametrize(
    "data",
    [
        b"\x82\x81abcdx",  # masked
        b"\x82\xff" + bytes(8),  # masked, and long
        server_frame(b"text", 0x81),
        server_frame(b"", 0x80),  # the continuation of nothing
        server_frame(b"a", 0x02) + server_frame(b"b", 0x82),  # a message within a message
        server_frame(b"", 0xC2),  # an extension's bit
        server_frame(b"", 0x83),
        server_frame(b"", 0x8B),
        server_frame(b"", 0x09),  # a ping in fragments
        b"\x89\x7e\x00\x7e" + bytes(126),  # a ping that is too long
    ],
)
def test_what_no_server_may_send(data: bytes) -> None:
    with pytest.raises(WebSocketError):
        Frames().feed(data, bytearray())


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_anything_may_come(pieces: list[bytes]) -> None:
    frames, into = Frames(), bytearray()
    with contextlib.suppress(WebSocketError):
        for piece in pieces:
            frames.feed(piece, into)
    assert len(into) <= sum(map(len, pieces))


def test_the_request() -> None:
    request = Handshake("::1", 9001, "/a?b").request
    assert request.startswith(b"GET /a?b HTTP/1.1\r\nHost: [::1]:9001\r\n")
    assert request.endswith(b"\r\n\r\n")
    assert b"\r\nSec-WebSocket-Protocol: mqtt\r\n" in request
    assert request != Handshake("::1", 9001, "/a?b").request


@given(st.lists(st.integers(0, 400), max_size=8), st.binary(max_size=20))
def test_the_answer_in_pieces(places: list[int], behind: bytes) -> None:
    handshake, buffer, done = Handshake("h", 1, "/"), bytearray(), False
    for piece in cut(answer_to(handshake.request) + behind, places):
        buffer += piece
        done = done or handshake.take(buffer)
    assert done
    assert buffer == behind


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((b"101 Switching Protocols", b"404 Not\x00Found"), r"HTTP status 404 Not\?Found came"),
        ((b"HTTP/1.1", b"HTTP/2.0"), "does not speak HTTP"),
        ((b"WebSocket\r", b"h2c\r"), "not an upgrade"),
        ((b"keep-alive, Upgrade", b"keep-alive"), "not an upgrade"),
        ((b"accept:", b"accept: x"), "not to our request"),
        ((b"sec-websocket-accept:", b"Other:"), "not to our request"),
        ((b"Protocol: mqtt", b"Protocol: mqttv3.1"), "not for MQTT"),
        ((b"Sec-WebSocket-Protocol: mqtt\r\n", b""), "not for MQTT"),
        ((b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"), "an extension"),
        ((b"Upgrade: ", b"Upgrade "), "header that is none"),
    ],
)
def test_answers_that_will_not_do(change: tuple[bytes, bytes], said: str) -> None:
    handshake = Handshake("h", 1, "/")
    with pytest.raises(WebSocketError, match=said):
        handshake.take(bytearray(answer_to(handshake.request, change)))


@given(st.one_of(st.binary(max_size=60), st.binary(max_size=60).map(lambda data: b"HTTP/1.1 101\r\n" + data + b"\r\n\r\n")))
def test_any_answer(data: bytes) -> None:
    buffer = bytearray(data)
    try:
        assert not Handshake("h", 1, "/").take(buffer)  # nobody guesses the key
        assert buffer == data
    except WebSocketError:
        pass


def test_an_answer_without_end() -> None:
    handshake = Handshake("h", 1, "/")
    assert not handshake.take(bytearray(b"HTTP/1.1 101 " + bytes(1000)))
    with pytest.raises(WebSocketError):
        handshake.take(bytearray(b"HTTP/1.1 101 " + bytes(websocket._LONGEST_ANSWER)))
    with pytest.raises(WebSocketError):
        handshake.take(bytearray(b"\x20\x02\x00\x01"))  # an MQTT listener
