"""Whatever a broker, an init system, the kernel or a file of ours says: it is read, or refused as documented."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from brokertuner_tui.broker import command, log, ports, systemd
from brokertuner_tui.broker.intent import Intent
from brokertuner_tui.broker.knob_file import KnobFile, Original
from brokertuner_tui.broker.service import Ran, ServiceFailed
from brokertuner_tui.errors import TunerError
from tests.anything import jsonish, one_line

quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ORIGINAL_KEYS = ("path", "content", "mode", "uid", "gid", "kept_at")
INTENT_KEYS = ("format", "last_good", "file", "in_force", "wanted", "at", "owner", "run")


@quick
@given(st.binary(max_size=200) | jsonish(ORIGINAL_KEYS))
def test_any_kept_original(data: bytes) -> None:
    try:
        assert isinstance(Original.from_json(data), Original)
    except ValueError as error:
        one_line(error, "not a kept original")


@quick
@given(st.binary(max_size=200) | jsonish(INTENT_KEYS))
def test_any_intent(data: bytes) -> None:
    try:
        assert isinstance(Intent.from_json(data), Intent)
    except ValueError as error:
        one_line(error, "not an intent")


@quick
@example(b"# Written by brokertuner-tui\n")
@given(st.binary(max_size=200))
def test_any_knob_file(tmp_path: Path, content: bytes) -> None:
    file = KnobFile(tmp_path / "broker_tuner.conf", tmp_path / "originals")
    file.path.write_bytes(content)
    try:
        assert isinstance(file.is_ours(), bool)
        assert file.operators_own() in (None, content)
    except TunerError as error:
        one_line(error)


PROPERTIES = ("ActiveState", "SubState", "MainPID", "NRestarts", "ExecMainCode", "ExecMainStatus", "Result", "Job", "ExecStart")
lines = st.tuples(st.sampled_from(PROPERTIES), st.text(max_size=30) | st.integers().map(str)).map("=".join)


@quick
@example("MainPID=x\nNRestarts=--\nActiveState=failed")
@example("NRestarts=" + "9" * 5000)
@example("ExecStart={ path=/x ; argv[]=/x 'half ; }")
@given(st.lists(lines | st.text(max_size=40), max_size=12).map("\n".join))
def test_whatever_systemctl_shows(text: str) -> None:
    def ran(*_: Any, **__: Any) -> Ran:
        return Ran(0, text, "")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(systemd, "run_command", ran)
        service = systemd.SystemdService("mosquitto.service")
        look = service.look()
        assert look.pid is None or look.pid > 0
        assert isinstance(service._command_line(), list)
        assert isinstance(service._show(), dict)


@quick
@example("1.1.1s")
@example("infinity")
@given(st.text(max_size=30) | st.from_regex(r"([0-9.]{1,5}(us|ms|s|min|h|d|w|month|y) ?){1,4}", fullmatch=True))
def test_any_span_of_systemd(text: str) -> None:
    assert systemd.seconds(text) >= 0


@quick
@example("9" * 5000)
@example("²")
@given(st.text(max_size=30) | st.integers().map(str))
def test_whatever_a_pid_command_prints(text: str) -> None:
    def ran(*_: Any, **__: Any) -> Ran:
        return Ran(0, text, "")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "run_command", ran)
        service = command.CommandService(restart=["true"], pid=["pid"], main_config=Path("/nothing"))
        try:
            look = service.look()
        except ServiceFailed:
            return
        assert look.pid is None or look.pid > 0


LISTENING = b"   0: 0100007F:075B 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 123456 1 0000\n"


@quick
@example([b"headings", LISTENING])
@given(st.lists(st.binary(max_size=60) | st.just(LISTENING), max_size=6))
def test_any_table_of_sockets(table: list[bytes]) -> None:
    found = ports._inodes_of(1883, table)
    assert set(found) <= {123456}
    assert found == [123456] * len(found)


def test_a_socket_that_listens_is_found() -> None:
    assert ports._inodes_of(1883, [b"headings", LISTENING]) == [123456]
    assert ports._inodes_of(1884, [b"headings", LISTENING]) == []


@quick
@given(st.text(max_size=200))
def test_any_log(text: str) -> None:
    assert all("\n" not in line and line.startswith("Error") for line in log.errors(text))
