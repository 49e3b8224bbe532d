"""A run that was killed after any trial goes on with the very proposals that it would have made: no broker, the real agent."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from brokertuner_tui.agent.ddpg import DDPG
from brokertuner_tui.agent.presets import config_for
from brokertuner_tui.config.settings import AgentSettings, RewardSettings
from brokertuner_tui.env.outcome import Outcome, Timings, Usage, Verdict
from brokertuner_tui.env.presets import make_preset
from brokertuner_tui.env.slo import CONTEXT_NAMES, SloPreset, context
from brokertuner_tui.knobs import codec
from brokertuner_tui.knobs.catalogue import CATALOGUE, Value, defaults
from brokertuner_tui.process.owner import Owner
from brokertuner_tui.store.earlier import EarlierTrial
from brokertuner_tui.store.rows import TrialRow
from brokertuner_tui.store.store import Store
from brokertuner_tui.tuning.events import TrialFinished
from brokertuner_tui.tuning.guard.caution import Caution
from brokertuner_tui.tuning.guard.restarts import RestartBudget
from brokertuner_tui.tuning.learner import Choice, Learner
from brokertuner_tui.tuning.memory import Memory
from brokertuner_tui.tuning.recall import load_agent, recall, restarts_of
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.window import Window
from tests.store import made

VERSION = (2, 0, 21)
CLOSED = Profile("closed", 10, 10, 10, qos=1, payload_bytes=64, rate=0.0, window=200, slo_ms=50.0)
"""A closed loop: what the preset remembers of the default counts."""
PINNED: dict[str, Value] = {"persistence": True}
TRIALS = 34


class Life:
    """One process's life of a run: a learner, a store, a checkpoint after every `save_freq` trials."""

    def __init__(self, folder: Path, save_freq: int, preset: str = "slo", memory: Memory | None = None) -> None:
        self.folder, self._save_freq, self._preset_name = folder, save_freq, preset
        self.store = Store.open(folder / "store.db")
        self.rows: list[TrialRow] = []
        self.said = ""
        self.run = self.store.runs()[0].id if self.store.runs() else ""
        if self.run:
            self.store.resume_run(self.run)
            self.rows = self.store.trials(self.run)
        else:
            gone = replace(Owner.this_process(), pid=2**22 - 1)
            self.run = self.store.create_run(made.run_info(owner=gone))
        self.agent, self.saved = self._new_agent(), 0
        if self.rows:
            self.agent, self.saved, self.said = load_agent(self._checkpoint, len(self.rows), self._new_agent, "cpu")
        made_preset = make_preset(preset, RewardSettings())
        caution = Caution.under(0.5, live_margin=0.1)
        self.learner = Learner(self.agent, made_preset, VERSION, defaults(VERSION), PINNED, caution, memory)
        self.recalled = recall(self.learner, self.rows, self.saved)

    @property
    def _checkpoint(self) -> Path:
        return self.folder / "checkpoint"

    def _new_agent(self) -> DDPG:
        config = replace(config_for(self._preset_name, AgentSettings()), max_update_s=60.0)
        return DDPG(len(make_preset(self._preset_name, RewardSettings()).observation_names), len(CATALOGUE), config, seed=3)

    def trial(self, number: int) -> Choice:
        choice = self.learner.choose(CLOSED)
        outcome, broke = _outcome(choice, number), number % 11 == 10
        lesson = self.learner.learn(number, choice, outcome, broke=broke)
        self.store.record_trial(
            self.run,
            TrialFinished(
                time.time(),
                number,
                choice.kind,
                outcome,
                lesson.reward,
                lesson.terms,
                tuple(float(x) for x in codec.encode(outcome.knobs)),
                lesson.observation,
                lesson.next_observation,
                self.learner.agent_state(choice),
                (),
                lesson.is_best,
                None,
            ),
            broker_restarts=0,
            workload_restarts=0,
            pinned=self.learner.pinned,
        )
        return choice

    def save(self, number: int) -> None:
        if number % self._save_freq == 0:
            self.agent.save(self._checkpoint, extra={"trials": str(number)})


def _outcome(choice: Choice, number: int) -> Outcome:
    """Made of the knobs and the trial's number alone."""
    knobs = choice.knobs
    rate = 20_000 + 9_000 * bool(knobs["set_tcp_nodelay"]) + 2_000 * (number % 3) + knobs["max_inflight_messages"] % 977
    on_time = int(rate * 0.9)
    window = Window(
        1.0, rate, rate, rate, on_time, rate - on_time, 0, 0, 0, 1.1, 2.2, 3.3, 4.4, 5.5,
        ((5.5, rate),), (), 0.1, 20, 0, 0.2,
    )  # fmt: skip
    usage = Usage(31.5 + number, 5_000_000, 912.25)
    verdict = Verdict.FAILED if number % 7 == 6 else Verdict.INCONCLUSIVE if number % 9 == 8 else Verdict.OK
    window_or_none = window if verdict is Verdict.OK else None
    return Outcome(dict(knobs), CLOSED, VERSION, verdict, "", None, window_or_none, usage, None, Timings())


def _live(
    folder: Path, save_freq: int, copies: Path, *, preset: str = "slo", trials: int = TRIALS, memory: Memory | None = None
) -> list[Choice]:
    """A whole life; a copy of all there is on the disk is made after every trial, before and after its checkpoint."""
    life = Life(folder, save_freq, preset, memory)
    choices = []
    for number in range(1, trials + 1):
        choices.append(life.trial(number))
        shutil.copytree(folder, copies / f"{number}-recorded")
        life.save(number)
        shutil.copytree(folder, copies / f"{number}-saved")
    life.store.close()
    return choices


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Choice], Path]:
    folder = tmp_path_factory.mktemp("lived")
    return _live(folder / "one", 10, folder / "copies"), folder / "copies"


@pytest.mark.parametrize(
    "killed", ["1-recorded", "4-saved", "9-saved", "10-recorded", "10-saved", "11-recorded", "19-saved", "20-saved", "27-saved"]
)
def test_it_goes_on_as_if_nothing_had_happened(killed: str, lived: tuple[list[Choice], Path], tmp_path: Path) -> None:
    choices, copies = lived
    shutil.copytree(copies / killed, tmp_path / "again")
    done = int(killed.partition("-")[0])
    life = Life(tmp_path / "again", 10)
    assert len(life.rows) == done
    assert life.saved == (
        done if killed == "10-saved" else max(0, done - 1) // 10 * 10 if "recorded" in killed else done // 10 * 10
    )
    assert life.recalled.exact, life.recalled
    for number in range(done + 1, done + 5):
        again = life.trial(number)
        assert (again.kind, again.knobs, again.source) == _told(choices[number - 1]), number
    assert len(life.store.trials(life.run)) == done + 4
    life.store.close()


def _told(choice: Choice) -> tuple[object, ...]:
    return choice.kind, choice.knobs, choice.source


def test_it_can_be_killed_again_and_again(lived: tuple[list[Choice], Path], tmp_path: Path) -> None:
    choices, again = lived[0], []
    for number in range(1, TRIALS + 1):
        life = Life(tmp_path, 1)
        again.append(life.trial(number))
        life.save(number)
        life.store.close()
    assert [_told(choice) for choice in again] == [_told(choice) for choice in choices]


def test_classic_goes_on_as_well(tmp_path: Path) -> None:
    choices = _live(tmp_path / "one", 5, tmp_path / "copies", preset="classic", trials=18)
    life = Life(tmp_path / "copies" / "13-saved", 5, "classic")
    assert life.recalled.exact
    assert [_told(life.trial(number)) for number in range(14, 18)] == [_told(choice) for choice in choices[13:17]]
    life.store.close()


@pytest.mark.parametrize("save_freq", [4, 100])
def test_what_earlier_runs_knew_counts_once_and_is_found_again(save_freq: int, tmp_path: Path) -> None:
    seen = tuple(context(CLOSED, VERSION)) + (0.0,) * (len(SloPreset().observation_names) - len(CONTEXT_NAMES))
    known = [
        EarlierTrial("before", "ok", False, seen, tuple(codec.encode(defaults(VERSION) | knobs)), reward, seen)
        for knobs, reward in (({"max_inflight_messages": 900}, 0.6), ({"set_tcp_nodelay": True}, 0.58))
    ]
    memory = Memory(known)
    choices = _live(tmp_path / "one", save_freq, tmp_path / "copies", trials=10, memory=memory)
    assert "earlier runs" in choices[1].why
    life = Life(tmp_path / "copies" / "6-recorded", save_freq, memory=memory)
    assert life.saved == (4 if save_freq == 4 else 0)
    assert life.recalled.exact, life.recalled
    assert [_told(life.trial(number)) for number in range(7, 11)] == [_told(choice) for choice in choices[6:]]
    assert life.agent.replay.all().earlier.sum() <= len(known)
    life.store.close()


@pytest.mark.parametrize("what", ["gone", "broken", "of the future"])
def test_without_a_checkpoint_everything_is_lived_through_again(
    what: str, lived: tuple[list[Choice], Path], tmp_path: Path
) -> None:
    shutil.copytree(lived[1] / "10-saved", tmp_path / "again")
    checkpoint = tmp_path / "again" / "checkpoint"
    if what == "gone":
        shutil.rmtree(checkpoint)
    elif what == "broken":
        (checkpoint / "manifest.json").write_text("{}")
    else:
        DDPG.load(checkpoint).save(checkpoint, extra={"trials": "11"})
    life = Life(tmp_path / "again", 10)
    assert (life.saved, life.recalled.exact) == (0, True)
    assert "lives through all 10 trials again" in life.said
    assert _told(life.trial(11)) == _told(lived[0][10])
    life.store.close()


def test_what_cannot_be_exact_is_said_and_remembered(lived: tuple[list[Choice], Path], tmp_path: Path) -> None:
    """The operator's setting in a trial that the checkpoint has not seen is one; an agent with another seed is not."""
    shutil.copytree(lived[1] / "12-recorded", tmp_path / "again")
    store = Store.open(tmp_path / "again" / "store.db")
    rows = store.trials(store.runs()[0].id)
    store.close()
    other = dict(rows[11].knobs) | {"max_queued_messages": 12_345}
    tampered = [*rows[:11], replace(rows[11], knobs=other)]
    life = Life(tmp_path / "again", 10)
    life.store.close()
    agent = DDPG.load(tmp_path / "again" / "checkpoint")
    learner = Learner(
        agent, make_preset("slo", RewardSettings()), VERSION, defaults(VERSION), PINNED, Caution.under(0.5, live_margin=0.1)
    )
    recalled = recall(learner, tampered, 10)
    assert recalled.differing == (12,)
    assert "trials 12 were remembered" in recalled.told()
    assert agent.buffer_size == life.agent.buffer_size
    by_hand = [*rows[:11], replace(rows[11], knobs=other, kind="manual", agent=replace(rows[11].agent, source="operator"))]
    agent = DDPG.load(tmp_path / "again" / "checkpoint")
    learner = Learner(
        agent, make_preset("slo", RewardSettings()), VERSION, defaults(VERSION), PINNED, Caution.under(0.5, live_margin=0.1)
    )
    assert recall(learner, by_hand, 10).exact


def test_restarts_are_told_by_the_trials(lived: tuple[list[Choice], Path], tmp_path: Path) -> None:
    shutil.copytree(lived[1] / "4-saved", tmp_path / "again")
    with Store.open(tmp_path / "again" / "store.db") as store:
        rows = store.trials(store.runs()[0].id)
    counted = [
        replace(row, at=100.0 * row.number, broker_restarts=total) for row, total in zip(rows, (1, 1, 3, 4), strict=True)
    ]
    assert restarts_of(counted) == [100.0, 300.0, 300.0, 400.0]
    budget = RestartBudget(5, clock=lambda: 50.0, wall=lambda: 3800.0)
    budget.note()
    budget.recall(restarts_of(counted))  # the first is an hour ago by now
    assert budget.allowance().left == 1
    assert budget.allowance().until is None
