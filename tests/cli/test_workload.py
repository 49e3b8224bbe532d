"""`workload` on a real Mosquitto: what it prints last, how it ends, and that nothing is left running."""

from __future__ import annotations

import math
import signal
import socket
from pathlib import Path

import pytest

from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.cli.window_sum import WindowSum
from brokertuner_tui.cli.workload_run import drain_s, parts
from brokertuner_tui.knobs.catalogue import defaults
from brokertuner_tui.workload.profile import Phase, Profile, Workload
from tests.cli.program import error_of, lines_of, run
from tests.cli.running import is_broker, is_generator, running
from tests.store import made

SMALL = """
[workload.small]
publishers = 2
subscribers = 2
topics = 2
qos = 1
rate = 400
slo_ms = 1000
[workload.other]
rate = 200
slo_ms = 1000
[workload.both]
phases = [ { use = "small", seconds = 0.7 }, { use = "other", seconds = 0.5 } ]
"""
SUMMARY = (
    *("event", "seconds", "sent", "received", "on_time", "late", "lost", "duplicated", "received_per_s", "on_time_per_s"),
    *("p50_ms", "p95_ms", "p99_ms", "max_ms"),
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "w.toml").write_text(SMALL)
    return tmp_path


def test_the_summary_is_what_was_promised(home: Path, every_mosquitto: Path) -> None:
    words = ["workload", "small", "--duration", "1.5", "--json", "--workload-file", "w.toml", "--mosquitto"]
    ended = run(home, *words, str(every_mosquitto))
    assert ended.returncode == 0, ended.stderr
    *progress, summary = lines_of(ended.stdout)
    assert tuple(summary) == SUMMARY
    assert summary["event"] == "summary"
    assert summary["seconds"] == pytest.approx(1.5, abs=1.0)
    assert summary["sent"] >= 400
    assert (summary["lost"], summary["duplicated"]) == (0, 0)
    assert abs(summary["received"] - summary["sent"]) < 20  # a few were under way when the window was opened
    assert summary["on_time"] + summary["late"] == summary["received"]
    assert summary["received_per_s"] == pytest.approx(summary["received"] / summary["seconds"])
    assert 0 < summary["p50_ms"] <= summary["p95_ms"] <= summary["p99_ms"] <= summary["max_ms"]
    assert [line["event"] for line in progress] == ["progress"]
    assert progress[0]["connected"] == progress[0]["wanted"] == 4
    assert progress[0]["p50_ms"] > 0


def test_for_people(home: Path, mosquitto: Path) -> None:
    words = ["workload", "small", "--duration", "0.5", "--workload-file", "w.toml", "--mosquitto", str(mosquitto)]
    ended = run(home, *words)
    assert ended.returncode == 0
    assert "received a second" in ended.stdout
    assert "p99 ms" in ended.stdout
    assert "small on our own Mosquitto" in ended.stderr
    assert "\x1b" not in ended.stdout + ended.stderr
    assert sorted(path.name for path in home.rglob("*") if path.is_file()) == ["w.toml"]


def test_phases_follow_each_other(home: Path, mosquitto: Path) -> None:
    words = ["workload", "both", "--duration", "1.5", "--json", "--workload-file", "w.toml", "--mosquitto", str(mosquitto)]
    ended = run(home, *words)
    assert ended.returncode == 0, ended.stderr
    assert [line for line in ended.stderr.splitlines() if line.startswith("phase")] == [
        "phase small",
        "phase other",
        "phase small",
    ]
    summary = lines_of(ended.stdout)[-1]
    assert summary["sent"] > 200
    assert abs(summary["received"] - summary["sent"]) < 20


def test_another_broker(home: Path, mosquitto: Path) -> None:
    broker = ManagedBroker(mosquitto, home / "broker")
    broker.start(defaults(broker.version))
    try:
        words = ["workload", "small", "--duration", "0.5", "--json", "--workload-file", "w.toml"]
        ended = run(home, *words, "--port", str(broker.port), "--host", "localhost")
        assert ended.returncode == 0, ended.stderr
        assert lines_of(ended.stdout)[-1]["received"] > 0
        assert f"small on localhost:{broker.port}" in ended.stderr
        assert broker.alive()
    finally:
        broker.stop()


def test_no_broker_there(home: Path) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else gets the port meanwhile
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        ended = run(home, "workload", "fanout", "--duration", "1", "--json", "--port", str(port))
    assert ended.returncode == 3
    assert error_of(ended) == f"the broker at mqtt://127.0.0.1:{port} does not answer: nothing listens on port {port}"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_what_was_measured(home: Path, mosquitto: Path, number: int, code: int) -> None:
    words = ["workload", "small", "--duration", "60", "--json", "--workload-file", "w.toml", "--mosquitto", str(mosquitto)]
    with running(home, *words) as program:
        program.until("progress")
        program.signal(number)
        assert program.wait() == code
        assert program.lines[-1]["event"] == "summary"
        assert 0 < program.lines[-1]["seconds"] < 50
        assert program.left() == []


def test_the_generator_is_killed(home: Path, mosquitto: Path) -> None:
    words = ["workload", "small", "--duration", "60", "--json", "--workload-file", "w.toml", "--mosquitto", str(mosquitto)]
    with running(home, *words) as program:
        program.until("progress")
        program.child(is_generator).kill()
        assert program.wait() == 1
        assert "error: the load generator ended by signal 9" in program.errors
        assert program.left() == []


def test_the_broker_is_killed(home: Path, mosquitto: Path) -> None:
    words = ["workload", "small", "--duration", "60", "--json", "--workload-file", "w.toml", "--mosquitto", str(mosquitto)]
    with running(home, *words) as program:
        program.until("progress")
        program.child(is_broker).kill()
        assert program.wait() == 1
        assert "error: the broker ended" in program.errors
        assert program.left() == []


def test_we_are_killed(home: Path, mosquitto: Path) -> None:
    """No chance to tidy up: the reaper does."""
    words = ["workload", "small", "--duration", "60", "--json", "--workload-file", "w.toml", "--mosquitto", str(mosquitto)]
    with running(home, *words) as program:
        program.until("progress")
        program.signal(signal.SIGKILL)
        assert program.wait() == -9
        assert program.left() == []


def test_windows_add_up() -> None:
    total = WindowSum()
    total.add(made.window(seconds=1.0, histogram=((1.0, 99), (8.0, 1)), received=100, max_ms=8.0))
    assert total.summary()["p99_ms"] == 9.5  # of one window: its own, which is interpolated
    total.add(made.window(seconds=3.0, histogram=((2.0, 100), (64.0, 100)), received=200, max_ms=60.0))
    made_up = total.summary()
    assert (made_up["seconds"], made_up["received"], made_up["lost"]) == (4.0, 300, 20)
    assert made_up["received_per_s"] == 75.0
    assert (made_up["p50_ms"], made_up["p95_ms"], made_up["max_ms"]) == (2.0, 64.0, 60.0)


def test_nothing_arrived() -> None:
    total = WindowSum()
    total.add(made.window(received=0, on_time=0, late=0, histogram=(), p50_ms=0.0, p99_ms=0.0, max_ms=0.0))
    summary = total.summary()
    assert summary["p50_ms"] is summary["p99_ms"] is summary["max_ms"] is None
    assert math.isnan(total.percentile_ms(0.9))


def test_what_runs_after_what() -> None:
    one, other = Profile("one"), Profile("other")
    both = Workload("both", (Phase(one, 40.0), Phase(other, 20.0)))
    assert [(part.profile.name, part.seconds) for part in parts(both, 110.0)] == [
        ("one", 40),
        ("other", 20),
        ("one", 40),
        ("other", 10),
    ]
    assert [part.seconds for part in parts(Workload.steady(one), 7.0)] == [7.0]
    assert drain_s(Profile("near", slo_ms=2.0)) < drain_s(Profile("far", slo_ms=250.0, client_rtt_ms=100.0)) <= 10.0
