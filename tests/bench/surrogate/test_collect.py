"""What `benchmarks/collect.py` keeps, whatever ends it; the trials themselves are `Testbed`'s."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.collect import MAIN, REST, Block, pack, plan, read_journal, to_line
from benchmarks.proposals import KINDS, propose
from brokertuner_tui.bench.surrogate import dataset
from brokertuner_tui.config.workloads import shipped_tables
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import changed, defaults
from brokertuner_tui.knobs.validation import check_all

VERSIONS = ((2, 0, 11), (2, 1, 2))
BLOCKS = [Block(1, 0, (2, 0, 11), "wan"), Block(1, 0, (2, 1, 2), "wan")]


def journal(folder: Path) -> Path:
    path = folder / "trials.jsonl"
    trials = list(dataset.load()[:20])
    path.write_text(to_line(BLOCKS[0], trials[10:]) + to_line(BLOCKS[1], trials[:10]))
    return path


def test_a_plan_is_the_same_again_and_has_every_cell() -> None:
    blocks = plan(5, 2, VERSIONS, (*MAIN, *REST))
    assert blocks == plan(5, 2, VERSIONS, (*MAIN, *REST))
    assert blocks != plan(6, 2, VERSIONS, (*MAIN, *REST))
    assert len(set(blocks)) == len(blocks) == 2 * (8 + 4)
    assert {block.workload for block in blocks if block.round == 1} == set(MAIN)


def test_a_block_that_was_being_written_is_missing_and_the_others_are_there(tmp_path: Path) -> None:
    path = journal(tmp_path)
    assert list(read_journal(path)) == BLOCKS
    path.write_text(path.read_text()[:-30])
    assert list(read_journal(path)) == BLOCKS[:1]
    path.write_text("{}\n")
    with pytest.raises(TunerError, match="line 1 is not a block"):
        read_journal(path)


def test_what_is_packed_is_what_was_recorded_in_the_order_of_time(tmp_path: Path) -> None:
    packed = tmp_path / "trials.csv.gz"
    assert pack(journal(tmp_path), packed) == 20
    began = dataset.load()[0].at_s
    assert dataset.read(packed) == tuple(replace(trial, at_s=trial.at_s - began) for trial in dataset.load()[:20])
    with pytest.raises(TunerError, match="no trials"):
        pack(tmp_path / "none.jsonl", packed)


@pytest.mark.parametrize("kind", sorted(set(KINDS)))
def test_every_kind_of_setting_is_legal_and_of_its_kind(kind: str) -> None:
    profile = shipped_tables()["wan"].profile
    assert profile is not None
    rng = np.random.default_rng(1)
    settings = [propose(kind, profile, (2, 1, 2), rng) for _ in range(30)]
    assert all(check_all(knobs) == knobs for knobs in settings)
    moved = [len(changed(defaults((2, 1, 2)), knobs)) for knobs in settings]
    most = {"asis": 0, "default": 3, "main": 3}.get(kind, 11)
    assert max(moved) <= most
    assert min(moved) >= {"uniform": 5}.get(kind, 0)
