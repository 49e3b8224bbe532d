"""Runs whose process is gone: released once, marked, gone on with, removed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from brokertuner_tui.errors import TunerError
from brokertuner_tui.process.owner import Owner
from brokertuner_tui.store.errors import NoSuchRun
from brokertuner_tui.store.place import Server
from brokertuner_tui.store.rows import BrokerIdentity, LoadIdentity, RunRow
from brokertuner_tui.store.store import Store
from brokertuner_tui.tuning.events import State
from tests.store import made
from tests.store.conftest import Place

GONE = replace(Owner.this_process(), pid=2**22 - 1)
BROKER = BrokerIdentity(4242, 1_795_222_801.0, "127.0.0.1", 1883, "runs/r/broker", ours=True)
LOAD = LoadIdentity(4300, 1_795_222_802.0)


def _dead_run(store: Store, **changes: object) -> str:
    run = store.create_run(made.run_info(owner=GONE, **changes))
    store.set_state(run, State.TUNING)
    store.identify(run, BROKER, LOAD)
    store.record_trial(run, made.trial(1), broker_restarts=1, workload_restarts=2, pinned={"persistence": True})
    return run


def test_what_a_dead_run_has_left_is_released_once_before_it_is_marked(place: Place) -> None:
    with place.open() as store:
        run = _dead_run(store)
    seen: list[RunRow] = []

    def dies(row: RunRow) -> str:
        seen.append(row)
        raise TunerError("killed in the middle of it")

    def release(row: RunRow) -> str:
        seen.append(row)
        return "its broker was ended"

    with pytest.raises(TunerError, match="in the middle"):
        place.open(on_dead=dies)
    for _ in range(2):
        with place.open(on_dead=release) as store:
            row = store.run(run)
            assert (row.state, row.reason) == ("interrupted", "the process that ran it is gone; its broker was ended")
            assert [trial.pinned for trial in store.trials(run)] == [{"persistence": True}]
    assert [(row.id, row.broker, row.load) for row in seen] == [(run, BROKER, LOAD)] * 2


def test_a_run_of_a_living_process_or_of_another_host_is_not_released_here(place: Place) -> None:
    far = replace(GONE, host="far-away", boot_id="another")
    with place.open() as store:
        for owner in (Owner.this_process(), far):
            store.create_run(made.run_info(owner=owner))

    def release(row: RunRow) -> str:
        raise AssertionError(f"{row.id} was released")

    with place.open(on_dead=release) as store:
        assert {row.state for row in store.runs()} == {"interrupted"} or isinstance(place.where, Server)


def test_a_run_goes_on_with_its_record(place: Place) -> None:
    with place.open() as store:
        run = _dead_run(store)
    with place.open() as store:
        before = store.resume_run(run[:-1], mode="autonomous")
        assert (before.id, before.state, before.trials, before.resumed) == (run, "interrupted", 1, 0)
        assert (before.broker_restarts, before.workload_restarts) == (1, 2)
        now = store.run(run)
        assert (now.state, now.reason, now.ended_at, now.resumed, now.info.mode) == ("created", "", None, 1, "autonomous")
        assert now.info.owner == Owner.this_process()
        assert (now.broker, now.load) == (None, None)
        with pytest.raises(TunerError, match=f"is being run by process {now.info.owner.pid}"):
            store.resume_run(run)
        store.set_state(run, State.TUNING)
        store.record_trial(run, made.trial(2), broker_restarts=1, workload_restarts=2, processes=(BROKER, LOAD))
        assert (store.run(run).trials, store.run(run).broker) == (2, BROKER)
        store.finish_run(run, made.finished(run))
    with place.open() as store:
        assert [trial.number for trial in store.trials(run)] == [1, 2]
        assert store.resume_run(run).state == "completed"
        assert store.run(run).resumed == 2


def test_a_run_is_removed_with_all_that_belongs_to_it(place: Place) -> None:
    with place.open() as store:
        runs = [_dead_run(store), _dead_run(store)]
        for run in runs:
            store.record_confirmation(run, made.confirmed(), [("default", made.window()), ("best", made.window())])
        assert len(store.runs()) == 2
        store.remove_run(runs[0])
        store.remove_run(runs[0])
        with pytest.raises(NoSuchRun):
            store.run(runs[0])
        assert store.trials(runs[0]) == []
        assert store.confirmations(runs[0]) == []
        assert [row.id for row in store.runs()] == [runs[1]]
        assert len(store.confirmations(runs[1])[0].windows) == 2
