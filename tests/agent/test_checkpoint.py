"""An agent comes back bit for bit, or not at all, and says which."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from brokertuner_tui.agent.checkpoint import MANIFEST, TENSORS, previous_of
from brokertuner_tui.agent.config import AgentConfig
from brokertuner_tui.agent.ddpg import DDPG
from brokertuner_tui.errors import TunerError, UsageError
from tests.agent.problems import ACTIONS, CLASSIC_QUICK, SLO_QUICK, hill, trained, tune

WORTH = hill(np.full(ACTIONS, 0.3))


@pytest.mark.parametrize("config", [SLO_QUICK, CLASSIC_QUICK], ids=lambda config: config.name)
@pytest.mark.parametrize("trials", [0, 2, 20])
def test_goes_on_bit_for_bit_as_if_never_saved(tmp_path: Path, config: AgentConfig, trials: int) -> None:
    agent = trained(config, trials=trials)
    agent.save(tmp_path / "agent", extra={"trial": "20"})
    loaded = DDPG.load(tmp_path / "agent")
    assert (loaded.config, loaded.seed, loaded.extra, loaded.notice) == (config, agent.seed, {"trial": "20"}, "")
    assert (loaded.buffer_size, loaded.updates, loaded.noise) == (agent.buffer_size, agent.updates, agent.noise)
    # Proposals use the random state, learning the optimisers' and the buffer's: all of it must be back.
    assert tune(loaded, WORTH, 15) == tune(agent, WORTH, 15)


def test_a_full_ring_keeps_its_order(tmp_path: Path) -> None:
    from dataclasses import replace

    agent = trained(replace(SLO_QUICK, buffer_size=10), trials=13)
    agent.save(tmp_path / "agent")
    loaded = DDPG.load(tmp_path / "agent")
    assert np.array_equal(loaded.replay.all().reward, agent.replay.all().reward)
    assert tune(loaded, WORTH, 6) == tune(agent, WORTH, 6)


def test_pending_failures_survive(tmp_path: Path) -> None:
    agent = DDPG(4, ACTIONS, SLO_QUICK, seed=0)
    failed = agent.propose(np.zeros(4)).action
    agent.avoid(np.zeros(4), failed)
    agent.save(tmp_path / "agent")
    loaded = DDPG.load(tmp_path / "agent")
    assert np.array_equal(loaded.propose(np.zeros(4)).action, agent.propose(np.zeros(4)).action)


def test_files_hold_plain_data(tmp_path: Path) -> None:
    trained(SLO_QUICK).save(tmp_path / "agent")
    assert sorted(path.name for path in (tmp_path / "agent").iterdir()) == [MANIFEST, TENSORS]
    assert "buffer.reward" in load_file(tmp_path / "agent" / TENSORS)
    json.loads((tmp_path / "agent" / MANIFEST).read_text())
    assert (tmp_path / "agent" / TENSORS).stat().st_mode & 0o077 == 0


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def change_a_number(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["agent"]["state"]["updates"] += 1
    (folder / MANIFEST).write_text(json.dumps(manifest))


def other_format(folder: Path) -> None:
    (folder / MANIFEST).write_text(json.dumps({"agent": {"format": "cake"}, "sha256": ""}))


DAMAGE = {
    "tensors flipped": lambda folder: flip(folder / TENSORS),
    "tensors truncated": lambda folder: truncate(folder / TENSORS),
    "tensors missing": lambda folder: (folder / TENSORS).unlink(),
    "tensors empty": lambda folder: (folder / TENSORS).write_bytes(b""),
    "manifest flipped": lambda folder: flip(folder / MANIFEST),
    "manifest truncated": lambda folder: truncate(folder / MANIFEST),
    "manifest missing": lambda folder: (folder / MANIFEST).unlink(),
    "manifest not ours": other_format,
    "manifest edited": change_a_number,
    "manifest a list": lambda folder: (folder / MANIFEST).write_text("[]"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_checkpoint_gives_way_to_the_previous_one(tmp_path: Path, damage: object) -> None:
    folder = tmp_path / "agent"
    agent = trained(SLO_QUICK, trials=6)
    agent.save(folder)
    tune(agent, WORTH, 2)
    agent.save(folder)
    assert DDPG.load(folder).buffer_size == 8
    damage(folder)  # type: ignore[operator]
    loaded = DDPG.load(folder)
    assert loaded.buffer_size == 6
    assert str(folder) in loaded.notice
    assert "previous one is used" in loaded.notice
    assert "\n" not in loaded.notice


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_checkpoint_without_a_previous_one_is_one_clear_line(tmp_path: Path, damage: object) -> None:
    folder = tmp_path / "agent"
    trained(SLO_QUICK, trials=6).save(folder)
    damage(folder)  # type: ignore[operator]
    with pytest.raises(UsageError) as error:
        DDPG.load(folder)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is none"):
        DDPG.load(tmp_path / "agent")


def test_a_folder_of_somebody_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="not a checkpoint"):
        trained(SLO_QUICK, trials=1).save(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_crash_between_the_renames_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "agent"
    agent = trained(SLO_QUICK, trials=6)
    agent.save(folder)
    rename = os.rename

    def dies(source: Path, target: Path) -> None:
        if Path(target) == folder:
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "rename", dies)
    with pytest.raises(TunerError, match="No space left"):
        agent.save(folder)
    loaded = DDPG.load(folder)
    assert loaded.buffer_size == 6
    assert loaded.notice
    assert [path.name for path in tmp_path.iterdir()] == [previous_of(folder).name]


def test_leftovers_of_a_killed_writer_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    left = tmp_path / ".agent.abcdef.new"
    left.mkdir()
    (left / TENSORS).write_bytes(b"half")
    agent = trained(SLO_QUICK, trials=1)
    agent.save(folder)
    agent.save(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agent", "agent.previous"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TunerError, match="cannot write the checkpoint"):
        trained(SLO_QUICK, trials=1).save(tmp_path / "file" / "agent")
