"""What a broker's refusals mean, in words: MQTT 3.1.1, 3.2.2.3, and MQTT 5, 3.2.2.2."""

from __future__ import annotations

_NAMES_4 = {
    1: "it does not speak this version of MQTT",
    2: "identifier rejected",
    3: "server unavailable",
    4: "bad user name or password",
    5: "not authorised",
}
_NAMES_5 = {
    0x80: "unspecified error",
    0x81: "malformed packet",
    0x82: "protocol error",
    0x83: "implementation specific error",
    0x84: "it does not speak this version of MQTT",
    0x85: "identifier rejected",
    0x86: "bad user name or password",
    0x87: "not authorised",
    0x88: "server unavailable",
    0x89: "server busy",
    0x8A: "banned",
    0x8C: "bad authentication method",
    0x90: "topic name invalid",
    0x95: "packet too large",
    0x97: "quota exceeded",
    0x9C: "use another server",
    0x9D: "server moved",
    0x9F: "connection rate exceeded",
}
_FINAL_4 = frozenset({1, 2, 4, 5})
_FINAL_5 = frozenset({0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C})


def connack_reason(code: int, protocol: int) -> str:
    """`not authorised (CONNACK code 135)`."""
    names = _NAMES_5 if protocol == 5 and code >= 0x80 else _NAMES_4
    return f"{names.get(code, 'no known reason')} (CONNACK code {code})"


def is_final(code: int, protocol: int) -> bool:
    """Whether the broker will say so again until somebody changes something."""
    return code in (_FINAL_5 if protocol == 5 and code >= 0x80 else _FINAL_4)
