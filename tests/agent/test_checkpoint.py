"""An agent comes back bit for bit, or not at all, and says which."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from brokertuner_tui.agent.checkpoint import MANIFEST, TENSORS, previous_of
from brokertuner_tui.agent.config import AgentConfig
from brokertuner_tui.agent.ddpg import DDPG
from brokertuner_tui.errors import TunerError, UsageError
from tests.agent.problems import ACTIONS, CLASSIC_QUICK, SLO_QUICK, hill, trained, tune
from tests.cli.program import ROOT
from tests.small_disk import on_small_disk

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


# -- what is on the disk may come from anybody ---------------------------------------------------------------------------------


def forge(folder: Path, *, tensors: bytes | None = None, **body: object) -> None:
    """Changes a checkpoint and sums it up again, as somebody would who knows how."""
    manifest = json.loads((folder / MANIFEST).read_text())
    if tensors is not None:
        (folder / TENSORS).write_bytes(tensors)
        manifest["agent"]["tensors"] = {"bytes": len(tensors), "sha256": hashlib.sha256(tensors).hexdigest()}
    manifest["agent"] |= body
    manifest["sha256"] = hashlib.sha256(json.dumps(manifest["agent"], sort_keys=True).encode()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(manifest))


class Canary:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self._path),)


@pytest.mark.parametrize("how", ["pickle", "torch.save"])
def test_a_pickle_in_the_place_of_the_tensors_is_never_unpickled(tmp_path: Path, how: str) -> None:
    folder, canary = tmp_path / "agent", tmp_path / "canary"
    trained(SLO_QUICK, trials=1).save(folder)
    if how == "pickle":
        evil = pickle.dumps(Canary(canary))
    else:
        torch.save({"actor.0.weight": Canary(canary)}, tmp_path / "evil.pt")
        evil = (tmp_path / "evil.pt").read_bytes()
    forge(folder, tensors=evil)
    with pytest.raises(UsageError) as error:
        DDPG.load(folder)
    assert "\n" not in str(error.value)
    assert not canary.exists()
    (folder / MANIFEST).write_bytes(evil)
    with pytest.raises(UsageError, match="not an agent's"):
        DDPG.load(folder)
    assert not canary.exists()


@pytest.mark.parametrize("length", [2**63, 2**40, 99_999_999, 10_000])
def test_a_header_that_says_it_is_huge_is_refused_without_room_for_it(tmp_path: Path, length: int) -> None:
    folder = tmp_path / "agent"
    trained(SLO_QUICK, trials=1).save(folder)
    forge(folder, tensors=length.to_bytes(8, "little") + b"{" * 100)
    tracemalloc.start()
    try:
        with pytest.raises(UsageError, match=f"header .* would have {length} bytes, the file has 108"):
            DDPG.load(folder)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


HUGE = {
    "observations": {"observation_size": 10**12},
    "networks": {"config": {"name": "slo", "hidden": 16_000, "members": 16_000}},
    "no number": {"config": {"name": "slo", "hidden": "64"}},
    "a list": {"config": []},
    "an unknown key": {"config": {"name": "slo", "exec": "rm"}},
    "state": {"state": {"rng": {"bit_generator": "MT19937"}}},
    "extra": {"extra": 7},
    "format": {"format": ["brokertuner-tui agent"]},
}


@pytest.mark.parametrize("body", HUGE.values(), ids=HUGE.keys())
def test_a_manifest_that_asks_for_what_save_never_wrote_is_one_clear_line(tmp_path: Path, body: dict[str, Any]) -> None:
    folder = tmp_path / "agent"
    trained(SLO_QUICK, trials=1).save(folder)
    forge(folder, **body)
    with pytest.raises(UsageError) as error:
        DDPG.load(folder)
    assert str(error.value).startswith(f"checkpoint {folder}: ")
    assert "\n" not in str(error.value)


def test_a_file_that_is_far_too_large_is_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    trained(SLO_QUICK, trials=1).save(folder)
    for name in (TENSORS, MANIFEST):
        os.truncate(folder / name, 2**40)  # sparse
        with pytest.raises(UsageError):
            DDPG.load(folder)


def test_a_manifest_nested_without_end(tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    trained(SLO_QUICK, trials=1).save(folder)
    (folder / MANIFEST).write_text("[" * 200_000)
    with pytest.raises(UsageError, match="not an agent's"):
        DDPG.load(folder)


# -- two are kept, whatever happens --------------------------------------------------------------------------------------------


def test_a_broken_one_does_not_push_out_the_previous_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken one was loaded past; the next save must not trust it either, not even for a moment."""
    folder = tmp_path / "agent"
    agent = trained(SLO_QUICK, trials=6)
    agent.save(folder)
    tune(agent, WORTH, 2)
    agent.save(folder)
    truncate(folder / TENSORS)
    rename = os.rename

    def dies(source: Path, target: Path) -> None:
        if Path(target) == folder:
            raise OSError(28, "No space left on device")
        rename(source, target)

    with monkeypatch.context() as full:
        full.setattr(os, "rename", dies)
        with pytest.raises(TunerError, match="No space left"):
            agent.save(folder)
    assert DDPG.load(folder).buffer_size == 6
    agent.save(folder)
    assert (DDPG.load(folder).buffer_size, DDPG.load(previous_of(folder)).buffer_size) == (8, 6)


_SAVES = (
    "import os, signal, sys; from pathlib import Path; from brokertuner_tui.agent.ddpg import DDPG\n"
    "folder, rename = Path(sys.argv[1]), os.rename\n"
    "def dies(source, target):\n"
    "    rename(source, target)\n"
    "    if Path(target).name.endswith('.previous'): os.kill(os.getpid(), signal.SIGKILL)\n"
    "os.rename = dies\n"
    "DDPG.load(folder).save(folder)\n"
)


def test_killed_between_the_two_renames(tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    trained(SLO_QUICK, trials=6).save(folder)
    ended = subprocess.run([sys.executable, "-c", _SAVES, str(folder)], cwd=ROOT, timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not folder.exists()
    loaded = DDPG.load(folder)
    assert loaded.buffer_size == 6
    assert loaded.notice == f"checkpoint {folder}: there is none; the previous one is used instead"
    loaded.save(folder)
    assert DDPG.load(folder).notice == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agent", "agent.previous"]


def test_both_broken_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    agent = trained(SLO_QUICK, trials=1)
    agent.save(folder)
    agent.save(folder)
    for each in (folder, previous_of(folder)):
        flip(each / TENSORS)
    with pytest.raises(UsageError, match=r"tensors.safetensors is damaged, and there is no whole previous one$"):
        DDPG.load(folder)


_FILLS = (
    "import sys; from pathlib import Path; from brokertuner_tui.agent.ddpg import DDPG; from tests.small_disk import fill\n"
    "from brokertuner_tui.errors import TunerError\n"
    "disk = Path(sys.argv[1]); agent = DDPG.load(Path(sys.argv[2])); agent.save(disk / 'agent'); ballast = fill(disk)\n"
    "try: agent.save(disk / 'agent')\n"
    "except TunerError as error: print(error)\n"
    "print(DDPG.load(disk / 'agent').buffer_size, sorted(path.name for path in disk.iterdir()))\n"
    "ballast.unlink(); agent.save(disk / 'agent'); print(sorted(path.name for path in disk.iterdir()))\n"
)


def test_a_full_disk_leaves_the_old_one(tmp_path: Path) -> None:
    trained(SLO_QUICK, trials=6).save(tmp_path / "first")
    disk = tmp_path / "disk"
    command = on_small_disk("16m", disk, sys.executable, "-c", _FILLS, str(disk), str(tmp_path / "first"))
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    said, loaded, after = ended.stdout.splitlines()
    assert said == f"cannot write the checkpoint {disk / 'agent'}: No space left on device"
    assert loaded == "6 ['agent', 'ballast']"
    assert after == "['agent', 'agent.previous']"
