"""`workload record` and `workload play`, as typed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli

from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.workload.builtin import BuiltinLoad
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.shape import Shape, Stream, from_toml, to_toml
from tests.cli.program import error_of, lines_of, run
from tests.cli.running import running

LOAD = Profile("load", publishers=2, subscribers=6, topics=2, qos=1, payload_bytes=200, rate=300, slo_ms=2000)
SMALL = Shape(1.0, (Stream(0, 2, 1, 128, 255, (300, 100), (60_000, 20_000)),), (8, 8), (0, 0), (0, 0), fan_out=3.0, slo_ms=2000)


@pytest.fixture
def busy(tmp_path: Path, mosquitto: Path) -> Iterator[ManagedBroker]:
    """A broker with a load."""
    broker, load = ManagedBroker(mosquitto, tmp_path / "broker"), BuiltinLoad(tmp_path / "load")
    try:
        broker.start(broker.baseline)
        load.start(LOAD, broker.endpoint)
        load.wait_ready(20.0)
        yield broker
    finally:
        load.stop()
        broker.stop()


def test_record(tmp_path: Path, busy: ManagedBroker) -> None:
    words = [
        "workload",
        "record",
        "--out",
        "r.toml",
        "--port",
        str(busy.port),
        "--duration",
        "1.6",
        "--interval",
        "0.5",
        "--json",
    ]
    ended = run(tmp_path, *words)
    assert ended.returncode == 0, ended.stderr
    *progress, last = lines_of(ended.stdout)
    assert [line["event"] for line in progress] == ["progress"]
    assert last["event"] == "recorded"
    assert last["messages_per_s"] == pytest.approx(300, rel=0.1)
    assert (last["mean_bytes"], last["qos"]) == (200, [0, 1, 0])
    shape = from_toml(tomli.loads((tmp_path / "r.toml").read_text()), "r.toml")
    assert (shape.intervals, shape.messages) == (3, last["messages"])
    # It is never replaced unasked.
    again = run(tmp_path, *words)
    assert again.returncode == 2
    assert error_of(again) == "--out r.toml: is there already (--force replaces it)"


def test_ctrl_c_ends_it_and_keeps_what_there_is(tmp_path: Path, busy: ManagedBroker) -> None:
    words = ["workload", "record", "--out", "r.toml", "--port", str(busy.port), "--interval", "0.2", "--json"]
    with running(tmp_path, *words) as program:
        program.until("progress")
        program.signal(signal.SIGINT)
        assert program.wait() == 0
        assert program.lines[-1]["event"] == "recorded"
    assert from_toml(tomli.loads((tmp_path / "r.toml").read_text()), "r.toml").messages > 0


def test_play(tmp_path: Path, mosquitto: Path) -> None:
    (tmp_path / "r.toml").write_text(to_toml(SMALL))
    ended = run(tmp_path, "workload", "play", "r.toml", "--speed", "2", "--json", "--mosquitto", str(mosquitto))
    assert ended.returncode == 0, ended.stderr
    *_, summary, replay = lines_of(ended.stdout)
    assert summary["event"] == "summary"
    assert summary["seconds"] == pytest.approx(1.0, abs=0.5)
    assert summary["lost"] == 0
    figures = {row["figure"]: row for row in replay["figures"]}
    assert figures["QoS 1"]["played"] == 1.0
    assert figures["bytes a message"]["played"] == pytest.approx(200)
    assert figures["messages a second"]["recorded"] == 400
    assert abs(figures["messages a second"]["difference"]) < 0.15
    assert abs(figures["fan-out"]["difference"]) < 0.1


def test_a_recording_is_a_workload_file(tmp_path: Path, mosquitto: Path) -> None:
    (tmp_path / "r.toml").write_text(to_toml(SMALL))
    words = ["workload", "recorded", "--workload-file", "r.toml", "--duration", "1", "--json", "--mosquitto", str(mosquitto)]
    ended = run(tmp_path, *words)
    assert ended.returncode == 0, ended.stderr
    assert lines_of(ended.stdout)[-1]["sent"] > 200
    listed = run(tmp_path, "workload", "--list", "--workload-file", "r.toml").stdout
    assert "recorded: recorded-1 1 s, recorded-2 1 s, round and round" in listed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["record"], "where to? --out FILE"),
        (["record", "--out", "no/r.toml"], "--out no/r.toml: the folder no is missing or cannot be written"),
        (["record", "--out", "r.toml", "--topic", "a#"], "--topic 'a#': must be a topic filter"),
        (["record", "--out", "r.toml", "--topic", "$SYS/#"], "--topic '$SYS/#': topics that begin with $ are the broker's own"),
        (["record", "--out", "r.toml", "--interval", "0"], "--interval 0: must be from 0.1 to 3600 seconds"),
        (["record", "--out", "r.toml", "--duration", "-1"], "--duration -1: must be greater than 0"),
        (["play"], "which recording?"),
        (["play", "none.toml"], "none.toml: cannot be read: No such file or directory"),
        (["play", "bad.toml"], "bad.toml: format = '(missing)': is not a recording"),
        (["play", "worse.toml"], "worse.toml: version = 7: this program reads 1"),
        (["play", "bad.toml", "--speed", "11"], "--speed 11: must be from 1 to 10"),
        (["play", "bad.toml", "--scale", "0"], "--scale 0: must be from 0.001 to 1000"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_slips_of_the_pen(tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "bad.toml").write_text("[workload.small]\nrate = 1\n")
    (tmp_path / "worse.toml").write_text('format = "brokertuner-shape"\nversion = 7\n')
    ended = run(tmp_path, "workload", *words)
    assert ended.returncode == 2
    assert error_of(ended).startswith(said)
    assert not (tmp_path / "r.toml").exists()
