"""What tests of faults ask of a session in this process."""

from __future__ import annotations

import queue
import shlex
from pathlib import Path
from typing import Any

from brokertuner_tui.broker.interface import Applied
from brokertuner_tui.config.settings import Settings
from brokertuner_tui.env.outcome import PhaseName
from brokertuner_tui.errors import TunerError
from brokertuner_tui.tuning.commands import Pause, SetKnobs
from brokertuner_tui.tuning.events import PhaseChanged, RunFinished, Sampled, State, StateChanged, TrialFinished
from brokertuner_tui.tuning.session import TuningSession
from tests.tuning.conftest import Bench, Reader

REPLY_S = 60.0


def with_broker(settings: Settings, **changes: Any) -> Settings:
    """The same with other `[broker]` settings."""
    return settings.model_copy(update={"broker": settings.broker.model_copy(update=changes)})


def broker_pid(reader: Reader) -> int:
    """Of the broker that runs while something is measured."""
    reader.wait_for(PhaseChanged, lambda event: event.phase is PhaseName.MEASURING)
    pid = reader.wait_for(Sampled, lambda event: event.sample.broker.state == "listening").sample.broker.pid
    assert pid is not None
    return pid


class Asked:
    """Knobs that an operator wants brought into force; the answer comes later."""

    def __init__(self, session: TuningSession, **knobs: Any) -> None:
        self._answers: queue.SimpleQueue[Applied | TunerError] = queue.SimpleQueue()
        session.send(SetKnobs(knobs, self._answers.put))

    def answer(self) -> Applied | TunerError:
        """What came of it."""
        return self._answers.get(timeout=REPLY_S)


def ask(session: TuningSession, **knobs: Any) -> Applied | TunerError:
    """Has knobs brought into force as an operator does; what came of it."""
    return Asked(session, **knobs).answer()


def until_it_ends(reader: Reader) -> RunFinished:
    """The last event of a session that ends by itself."""
    return reader.wait_for(RunFinished)


def paused(bench: Bench, settings: Settings, *, keep_open: bool = True) -> tuple[TuningSession, Reader]:
    """A session that has measured something and waits for its operator."""
    session, reader = bench.start(settings, keep_open=keep_open)
    reader.wait_for(TrialFinished)
    session.send(Pause())
    reader.wait_for(StateChanged, lambda event: event.state is State.PAUSED)
    return session, reader


def stub(path: Path, mosquitto: Path, script: str) -> Path:
    """A program that is Mosquitto when asked for its version, and `script` otherwise.

    The script has `"$mosquitto"` (the real one), `"$conf"` (the config that it was given) and `"$knobs"` (our knob file).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'#!/bin/sh\nmosquitto={shlex.quote(str(mosquitto))}\n[ "$1" = -h ] && exec "$mosquitto" -h\n'
        'for conf; do :; done\nknobs="${conf%/*}/conf.d/broker_tuner.conf"\n'
        f'{script}\nexec "$mosquitto" "$@"\n'
    )
    path.chmod(0o755)
    return path
