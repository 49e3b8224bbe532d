"""Lines that every Mosquitto takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given

from brokertuner_tui.broker.log import errors
from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.errors import UsageError
from brokertuner_tui.knobs.catalogue import BY_NAME, CATALOGUE, NAMES, Value, defaults
from brokertuner_tui.knobs.conf import render
from tests.knobs.values import all_legal, extremes


@given(all_legal)
def test_one_line_a_knob(values: dict[str, Value]) -> None:
    lines = render(values).splitlines()
    assert [line.split()[0] for line in lines] == list(NAMES)
    for line in lines:
        assert re.fullmatch(r"[a-z0-9_]+ (true|false|[0-9]{1,10})", line)
        name, text = line.split()
        assert int(text == "true" if BY_NAME[name].type == "bool" else text) == values[name]


@pytest.mark.parametrize("value", ["20\nplugin /x.so", -1, True, None])
def test_nothing_else_gets_into_the_file(value: object) -> None:
    with pytest.raises(UsageError):
        render({**defaults(), "max_inflight_messages": value})  # type: ignore[dict-item]


def test_every_line_is_accepted(every_mosquitto: Path, tmp_path: Path) -> None:
    """The ends of every range, by a broker that reads its config again and again; it says so when it dislikes a line."""
    broker = ManagedBroker(every_mosquitto, tmp_path / "broker")
    usual = defaults(broker.version)
    try:
        broker.start(usual)
        for knob in CATALOGUE:
            for value in extremes(knob):
                if knob.name == "memory_limit" and value in (1, 2):
                    continue  # accepted, too, but nothing runs with it: see tests/broker
                applied = broker.apply(usual | {knob.name: value})
                assert applied.knobs[knob.name] == value
        assert broker.log_path is not None
        log = broker.log_path.read_text()
    finally:
        broker.stop()
    assert errors(log) == []
    warnings = {line.partition("Warning: ")[2] for line in log.splitlines() if "Warning: " in line}
    assert warnings <= {"Mosquitto should not be run as root/administrator."}
