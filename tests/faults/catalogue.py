"""The catalogue of faults: what may happen around a tuner, and what has to come of it. `@row(N)` marks the tests of row N."""

from __future__ import annotations

from dataclasses import dataclass

import pytest


@dataclass(frozen=True, slots=True)
class Row:
    """One fault."""

    title: str
    expected: str


BROKER, FILES, LOAD, NETWORK, CLOCK, TUNER, TERMINAL, INPUT = (
    f"test_{area}.py" for area in ("broker", "files", "load", "network", "clock", "tuner", "terminal", "input")
)

ROWS: dict[int, Row] = {
    1: Row(
        "The broker is killed in the middle of a trial",
        "the trial says nothing and teaches nothing; the broker is back within 2 s, and its knobs were verified again",
    ),
    2: Row(
        "The broker dies again and again",
        "longer and longer waits; after 5 failures in 60 s the last knobs known to be good, or the end with the reason",
    ),
    3: Row(
        "The broker hangs: its process lives and its port takes connections, but nothing is answered",
        "seen within 5 s; counts as down; ended with TERM, then KILL; a new one serves",
    ),
    4: Row("The broker's port is taken", "who has it is named, with the PID, and left alone"),
    5: Row("Another Mosquitto answers on the port", "it is not taken for ours: named by its PID, left alone, the change fails"),
    6: Row(
        "The broker does not start with its config",
        "the failure has the broker's own words; what was in force before is put back and verified",
    ),
    7: Row("The broker refuses its config at a reload", "the change fails, though the process goes on; never counted as done"),
    8: Row("The config was deleted, or cannot be read", "the change fails and says which file; never counted as done"),
    9: Row("The config's folder is read-only", "it fails before the broker is touched"),
    10: Row(
        "The tuner dies between writing a config, renaming it and reloading",
        "the next start finds the change that nobody confirmed and puts back what was known to be good",
    ),
    11: Row(
        "Clients that were there before a change keep the old limit of messages in flight",
        "the load connects anew after such a change; the broker's CONNACK says the new limit",
    ),
    12: Row("The disk of the store is full", "the session pauses and says so, and goes on by itself when there is room"),
    13: Row(
        "A checkpoint does not fit on the disk",
        "the one before is whole and loads; the run goes on or ends with the reason",
    ),
    14: Row("fsync fails", "the run ends as failed with the reason; the call is never repeated"),
    15: Row("The load's process is killed", "its sample is dropped; it is started again"),
    16: Row("The load's process hangs", "the trial ends at its deadline without a reward; it is started again"),
    17: Row("Not one message arrives", "inconclusive, never a reward of 0"),
    18: Row("The broker publishes nothing under $SYS", "tuning goes on by its own measurements; the reason is shown"),
    19: Row("What $SYS says is old", "told as stale by its age, never shown as a rate of now"),
    20: Row("A connection is half open: bytes vanish", "noticed within 1.5 times the keep-alive"),
    21: Row("Connections are reset again and again", "tried again at the policy's rate, with jitter; no busy loop"),
    22: Row("The agent is cut off in the middle of a change", "the outcome is read back; the change is made once"),
    23: Row("The agent is away for long", "at most one attempt in the longest interval; found again by itself"),
    24: Row("The wall clock jumps by an hour, either way", "no deadline is missed or met by it; trials keep their order"),
    25: Row("A checkpoint is cut short, or has a wrong bit", "the one before is used, and that is said"),
    26: Row("A checkpoint holds a pickle that runs code", "refused; nothing of it runs"),
    27: Row("The store has garbage in a page, or a torn log", "copied aside and said; what can be read is reported"),
    28: Row("The tuner is killed with -9, many times", "no acknowledged trial is lost; the run can be resumed"),
    29: Row("The store was written by another version", "an older one is taken over, a newer one is refused and left alone"),
    30: Row("Broker and load of a killed tuner still run", "ended or adopted by the next one; never a second beside them"),
    31: Row("A recorded PID is somebody else's by now", "the innocent is not signalled"),
    32: Row("Two tuners want one broker", "the second ends within a second and names the first"),
    33: Row("A tuner died with its lock", "the lock is free at once"),
    34: Row("The terminal is closed", "everything ends in good order within seconds; no broker reloads because of it"),
    35: Row("SIGTERM while the screen is up", "exit code 143, and the terminal is as it was"),
    36: Row(
        "The screen is killed with -9, or its input ends",
        "nothing goes on running, `reset` is all that the terminal needs; no busy loop on an input that ended",
    ),
    37: Row("The operator quits while it tunes", "gone within 5 s, nothing left running"),
    38: Row("The trainer raises", "the failure is on the screen, which goes on answering"),
    39: Row(
        "Knob values that are none: -1, 65536, 1e309, NaN, true, a line break with a config line behind it",
        "refused with the reason (422 by HTTP), no file is changed",
    ),
    40: Row(
        "HTTP: wrong token, foreign Host or Origin, 10 MB, a client that dawdles, `../`, a flood, a token that others may read",
        "401, 400 or 403, 413, 408, 404, 429, and no start",
    ),
}
"""By number; the numbers are those of the project's catalogue and never change."""

FILES_OF: dict[str, tuple[int, ...]] = {
    BROKER: tuple(range(1, 12)),
    FILES: (12, 13, 14, 25, 26, 27, 29),
    LOAD: tuple(range(15, 20)),
    NETWORK: tuple(range(20, 24)),
    CLOCK: (24,),
    TUNER: (28, 30, 31, 32, 33),
    TERMINAL: tuple(range(34, 39)),
    INPUT: (39, 40),
}
"""Which file of this folder has the tests of which rows."""


def row(number: int) -> pytest.MarkDecorator:
    """Marks a test as (one) of row `number`; `pytest tests/faults -m row` runs them all."""
    assert number in ROWS, f"the catalogue has no row {number}"
    return pytest.mark.row(number)
