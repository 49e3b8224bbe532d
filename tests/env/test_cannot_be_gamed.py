"""Settings that look busy and deliver little: on-time goodput and reward fall, whatever publishers and `$SYS` count.

Each setting is measured right after the defaults, on the same broker, under a load that it hurts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from brokertuner_tui.broker.find import probe_version
from brokertuner_tui.config.settings import BrokerSettings, LoadSettings, Settings, TuningSettings
from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.env.slo import SloPreset
from brokertuner_tui.env.testbed import Testbed
from brokertuner_tui.knobs.catalogue import Value
from brokertuner_tui.workload.profile import Profile, Workload
from tests.waiting import eventually

QUICK = TuningSettings(step_interval_sec=0.3, settle_sec=0.05)


@dataclass(frozen=True)
class Compared:
    """The defaults' trial, the other's, and what the other was worth to the agent."""

    good: Outcome
    bad: Outcome
    rewards: tuple[float, float]
    sys_goes_on: bool
    """Whether `$SYS` counted more and more publications with the bad setting in force."""


def _compare(mosquitto: Path, folder: Path, profile: Profile, bad: dict[str, Value], *, ask_sys: bool = False) -> Compared:
    settings = Settings(broker=BrokerSettings(mosquitto=mosquitto), load=LoadSettings(ready_sec=3.0), tuning=QUICK)
    bed, preset = Testbed(settings, Workload.steady(profile), folder), SloPreset()
    try:
        bed.open()
        bed.start_load()
        first, second = bed.trial(bed.defaults), bed.trial(bed.defaults | bad)
        goes_on = ask_sys and _sys_goes_on(bed)
    finally:
        bed.close()
    assert first.verdict is Verdict.OK, first.reason
    worth = preset.failed_reward if second.window is None else preset.reward(second, first).value
    return Compared(first, second, (preset.reward(first, first).value, worth), goes_on)


def _sys_goes_on(bed: Testbed) -> bool:
    def received() -> int:
        return int(bed.sampler.read_sys().raw.get("publish/messages/received", 0))

    if not eventually(lambda: received() > 0):
        return False
    before = received()
    return eventually(lambda: received() > before + 100)


def _assert_worse(compared: Compared, *, by: float) -> None:
    good, bad = compared.good.window, compared.bad.window
    assert good is not None
    if bad is not None:  # else the broker kept its clients out, which is a failed trial
        assert bad.on_time_per_s < (1 - by) * good.on_time_per_s, (good, bad)
    assert compared.rewards[1] < (1 - by) * compared.rewards[0], compared.rewards


def test_what_is_larger_than_message_size_limit_earns_nothing_at_any_qos(every_mosquitto: Path, tmp_path: Path) -> None:
    """The broker acknowledges it, counts it as received, and throws it away."""
    parts = [Profile(f"q{qos}", 2, 2, 2, qos=qos, payload_bytes=200, rate=400, slo_ms=100) for qos in (0, 1, 2)]
    profile = Profile.mix("all", parts)
    compared = _compare(every_mosquitto, tmp_path, profile, {"message_size_limit": 100}, ask_sys=True)
    window = compared.bad.window
    assert window is not None, compared.bad.reason
    assert compared.sys_goes_on
    for part, one in zip(window.parts, parts, strict=True):
        assert part.sent > 60, "QoS 1 and 2 publishers go on only while they are acknowledged"
        assert (part.received, part.on_time) == (0, 0), one.name
    assert window.missing > 0
    _assert_worse(compared, by=0.9)


def test_what_is_larger_than_max_packet_size_earns_nothing(every_mosquitto: Path, tmp_path: Path) -> None:
    """Its publishers are thrown out, and come back to send it again."""
    profile = Profile("p", 2, 2, 2, qos=1, payload_bytes=200, rate=2000, window=100, slo_ms=100)
    _assert_worse(_compare(every_mosquitto, tmp_path, profile, {"max_packet_size": 120}), by=0.9)


def test_a_queue_of_one_earns_only_what_was_passed_on(every_mosquitto: Path, tmp_path: Path) -> None:
    """Every message of a burst is acknowledged; what does not fit in flight is dropped."""
    profile = Profile("b", 2, 2, 2, qos=1, payload_bytes=64, rate=1000, window=1000, burst=(0.005, 0.295), slo_ms=500)
    compared = _compare(every_mosquitto, tmp_path, profile, {"max_queued_messages": 1})
    good, bad = compared.good.window, compared.bad.window
    assert good is not None
    assert bad is not None, compared.bad.reason
    assert bad.sent > 0.9 * good.sent, "publishers saw nothing of it"
    assert bad.lost + bad.missing > 0
    _assert_worse(compared, by=0.1)


def test_hardly_any_memory_earns_nothing(every_mosquitto: Path, tmp_path: Path) -> None:
    """With the least that it starts with, the broker has no room for a message, and throws out whoever sends one."""
    least = 60_000 if probe_version(every_mosquitto) < (2, 0, 12) else 1_000_000
    profile = Profile("m", 2, 2, 2, qos=1, payload_bytes=60_000, rate=400, window=100, slo_ms=200)
    bad: dict[str, Value] = {"memory_limit": least, "set_tcp_nodelay": True}  # which restarts it
    _assert_worse(_compare(every_mosquitto, tmp_path, profile, bad), by=0.5)


def test_one_in_flight_earns_nothing_for_what_is_acknowledged_and_discarded(every_mosquitto: Path, tmp_path: Path) -> None:
    """A QoS 2 publisher with more open than the broker allows gets its acknowledgements all the same."""
    profile = Profile("q2", 2, 2, 2, qos=2, payload_bytes=64, rate=2000, window=20, slo_ms=100)
    compared = _compare(every_mosquitto, tmp_path, profile, {"max_inflight_messages": 1})
    good, bad = compared.good.window, compared.bad.window
    assert good is not None
    assert bad is not None, compared.bad.reason
    assert bad.sent > 0.9 * good.sent, "publishers were acknowledged as before"
    _assert_worse(compared, by=0.2)
