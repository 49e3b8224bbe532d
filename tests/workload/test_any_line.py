"""Whatever a load generator or emqtt_bench says: it is read, or it says nothing."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from brokertuner_tui.workload.builtin import BuiltinLoad
from brokertuner_tui.workload.emqtt_bench.output import Metrics, Output, parse_metrics
from brokertuner_tui.workload.generator.control import Control, objects
from tests.anything import jsonish

quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
counters = st.from_regex(r"[0-9]{0,2}s? ?[a-z]{1,5} total=[0-9]{1,30} rate=[0-9.]{1,6}/sec", fullmatch=True)


@quick
@example([b"recv total=" + b"9" * 5000 + b" rate=1/sec\n"])
@given(st.lists(st.binary(max_size=60) | counters.map(str.encode), max_size=6))
def test_any_output_of_emqtt_bench(tmp_path: Path, pieces: list[bytes]) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"")
    output = Output(path)
    for piece in pieces:
        with open(path, "ab") as file:
            file.write(piece)
        output.read()
    assert all(isinstance(total, int) for total in output.counters.values())
    assert "\n" not in output.trouble


metrics = st.from_regex(r'[a-z_]{1,8}(\{le="[0-9.+Inf]{1,5}"\})? [0-9.eE+-]{1,8}', fullmatch=True)


@quick
@example('e2e_latency_bucket{le="x"} 1\nrecv 1e999\nrecv ..\nsent -\n')
@given(st.lists(st.text(max_size=40) | metrics, max_size=8).map("\n".join))
def test_any_metrics_of_emqtt_bench(text: str) -> None:
    found = parse_metrics(text)
    assert isinstance(found, Metrics)
    assert all(isinstance(value, int) for value in (*found.counters.values(), *found.within_ms.values()))


@quick
@given(st.lists(st.binary(max_size=60) | jsonish(("cmd", "id", "re", "report", "error")), max_size=5))
def test_any_line_is_an_object_or_nothing(lines: list[bytes]) -> None:
    assert all(isinstance(found, dict) for found in objects(lines))


@quick
@given(st.lists(st.binary(max_size=60) | jsonish(("cmd", "id")), max_size=5))
def test_any_commands(lines: list[bytes]) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        control = Control(theirs.detach())
        sent = b"\n".join(line[:10_000] for line in lines) + b"\n"
        ours.sendall(sent)
        found = control.commands()
        assert all(isinstance(command, dict) for command in found)
        os.close(control.fd)
        control._sock.detach()


@quick
@given(st.lists(st.binary(max_size=60) | jsonish(("re", "report", "error")), max_size=5))
def test_any_answers(tmp_path: Path, lines: list[bytes]) -> None:
    """Those that are none are passed over; one that comes behind them arrives."""
    load = BuiltinLoad(tmp_path)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        load._sock = ours
        theirs.sendall(b"\n".join(line[:10_000] for line in lines) + b"\n" + json.dumps({"re": 7, "ok": 1}).encode() + b"\n")
        theirs.shutdown(socket.SHUT_WR)
        load._read(ours)
        assert load._answers[7] == {"re": 7, "ok": 1}
        load._sock = None
