"""Events reach every reader; only telemetry may be overtaken."""

from __future__ import annotations

import threading

from brokertuner_tui.env.outcome import PhaseName
from brokertuner_tui.tuning.events import Notice, PhaseChanged
from brokertuner_tui.tuning.stream import EventStream


def test_latest_phase_wins_and_nothing_else_is_dropped() -> None:
    stream = EventStream()
    reader = stream.subscribe()
    for number in range(100):
        stream.put(PhaseChanged(0.0, number, PhaseName.MEASURING))
        stream.put(Notice(0.0, str(number)))
    events = reader.drain()
    assert [event.message for event in events if isinstance(event, Notice)] == [str(n) for n in range(100)]
    assert [event.trial for event in events if isinstance(event, PhaseChanged)] == [99]
    assert reader.drain() == []


def test_every_reader_gets_every_event_and_is_woken() -> None:
    stream, woken = EventStream(), threading.Event()
    first, second = stream.subscribe(), stream.subscribe(woken.set)
    stream.put(Notice(0.0, "hello"))
    assert woken.is_set()
    assert first.get(1.0) == second.get(1.0) == Notice(0.0, "hello")


def test_get_waits_for_another_thread_and_gives_up_in_time() -> None:
    stream = EventStream()
    reader = stream.subscribe()
    assert reader.get(0.01) is None
    timer = threading.Timer(0.05, lambda: stream.put(Notice(0.0, "late")))
    timer.start()
    assert reader.get(10.0) == Notice(0.0, "late")
    timer.join()


def test_after_unsubscribing_nothing_comes() -> None:
    stream = EventStream()
    reader = stream.subscribe()
    stream.unsubscribe(reader)
    stream.put(Notice(0.0, "x"))
    assert reader.drain() == []
