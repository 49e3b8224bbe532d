"""The catalogue against what is known of Mosquitto."""

from __future__ import annotations

import pytest

from brokertuner_tui.knobs.catalogue import (
    BY_NAME,
    CATALOGUE,
    NAMES,
    changed,
    defaults,
    inert,
    needs_restart,
    parse_version,
)
from brokertuner_tui.knobs.validation import check

ELEVEN = {
    "max_inflight_messages": "restart",
    "max_inflight_bytes": "restart",
    "max_queued_messages": "restart",
    "max_queued_bytes": "restart",
    "queue_qos0_messages": "reload",
    "memory_limit": "reload",
    "persistence": "reload",
    "autosave_interval": "reload",
    "set_tcp_nodelay": "restart",
    "max_packet_size": "restart",
    "message_size_limit": "reload",
}


def test_the_eleven_and_how_they_take_effect() -> None:
    """Six need a restart although the manual says otherwise."""
    assert {knob.name: knob.applies for knob in CATALOGUE} == ELEVEN
    assert len(NAMES) == len(set(NAMES)) == 11
    assert all(knob.meaning and len(knob.meaning.split(". ")) == 1 for knob in CATALOGUE)


@pytest.mark.parametrize("version", [None, (2, 0, 11), (2, 0, 21), (2, 1, 2)])
def test_defaults_are_legal(version: tuple[int, int, int] | None) -> None:
    values = defaults(version)
    assert set(values) == set(NAMES)
    assert {name: check(name, value) for name, value in values.items()} == values


def test_the_default_that_2_1_changed() -> None:
    assert defaults((2, 0, 22))["max_packet_size"] == 268_435_455
    assert defaults((2, 1, 0))["max_packet_size"] == 2_000_000
    assert defaults((2, 0, 21)) == defaults(None)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_change_needs(name: str) -> None:
    old = defaults()
    knob = BY_NAME[name]
    new = old | {name: (not old[name]) if knob.type == "bool" else (knob.low if old[name] != knob.low else knob.high)}
    assert changed(old, new) == (name,)
    assert needs_restart(old, new) == (ELEVEN[name] == "restart")
    assert changed(old, old) == ()
    assert not needs_restart(old, old)


def test_inert() -> None:
    assert inert(defaults() | {"persistence": False}) == {"autosave_interval"}
    assert inert(defaults() | {"persistence": True}) == set()


def test_versions() -> None:
    assert parse_version("mosquitto version 2.0.11") == (2, 0, 11)
    assert parse_version("2.1.2-rc1") == (2, 1, 2)
    with pytest.raises(ValueError, match="no version"):
        parse_version("2.1")
