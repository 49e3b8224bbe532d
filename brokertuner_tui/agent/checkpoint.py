"""An agent on disk: a folder with `tensors.safetensors` (weights, optimisers, buffer) and `manifest.json` (everything else).

No pickle: loading runs no code. Both files are covered by SHA-256 sums, so a truncated or flipped file is told apart from a
whole one. A new checkpoint is written beside the old one and renamed into place; the old one stays as `NAME.previous`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as render_tensors
from torch import Tensor

from brokertuner_tui.agent.config import AgentConfig
from brokertuner_tui.agent.ddpg import DDPG
from brokertuner_tui.errors import TunerError, UsageError
from brokertuner_tui.files import check_disk, replace_file, sync_folder

FORMAT = "brokertuner-tui agent"
VERSION = 1
MANIFEST, TENSORS = "manifest.json", "tensors.safetensors"
_MANIFEST_BYTES, _TENSORS_BYTES, _HEADER_BYTES = 64 * 2**20, 2 * 2**30, 100_000_000
"""The last one is safetensors' own limit."""
_MOST, _MOST_WEIGHTS = 16_384, 2**28


class _NotWhole(Exception):
    """This folder is not a checkpoint that can be used; the message says why."""


def previous_of(folder: Path) -> Path:
    """Where the checkpoint before the last one lies."""
    return folder.with_name(f"{folder.name}.previous")


def save(agent: DDPG, folder: Path, extra: Mapping[str, str]) -> None:
    """Writes `agent` as `folder`, whole or not at all; what was there becomes the previous one.

    Raises:
        UsageError: `folder` is something else than a checkpoint; it is left alone.
        DiskFailed: see there; never to be tried again.
        TunerError: it cannot be written; the message says why. What was there can still be loaded.
    """
    if folder.exists() and not (folder / MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not a checkpoint: it will not be replaced")
    tensors = render_tensors(_tensors(agent))
    body = {
        "format": FORMAT,
        "version": VERSION,
        "config": agent.config.as_dict(),
        "observation_size": agent.observation_size,
        "action_size": agent.action_size,
        "seed": agent.seed,
        "state": agent.state(),
        "extra": dict(extra),
        "torch": torch.__version__,
        "tensors": {"bytes": len(tensors), "sha256": hashlib.sha256(tensors).hexdigest()},
    }
    manifest = json.dumps({"sha256": _sum(body), "agent": body}, indent=1).encode()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".new"))
        try:
            replace_file(fresh / TENSORS, tensors)
            replace_file(fresh / MANIFEST, manifest)
            _make_way(folder)
            os.rename(fresh, folder)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        sync_folder(folder.parent)
    except OSError as error:
        check_disk(error, folder)
        raise TunerError(f"cannot write the checkpoint {folder}: {error.strerror or error}") from error


def load(folder: Path, device: str) -> DDPG:
    """The agent in `folder`, or the previous one if that is not whole (`agent.notice` then says so in a line).

    Raises:
        UsageError: neither can be used; one line says why.
    """
    try:
        return _read(folder, device)
    except _NotWhole as broken:
        with contextlib.suppress(_NotWhole):
            agent = _read(previous_of(folder), device)
            agent.notice = f"checkpoint {folder}: {broken}; the previous one is used instead"
            return agent
        raise UsageError(f"checkpoint {folder}: {broken}, and there is no whole previous one") from None


def _make_way(folder: Path) -> None:
    """What is there becomes the previous one; if it is broken, it goes, since the previous one is what could be loaded."""
    if not folder.exists():
        return
    try:
        _read_files(folder)
    except _NotWhole:
        if previous_of(folder).exists():
            shutil.rmtree(folder)
            return
    shutil.rmtree(previous_of(folder), ignore_errors=True)
    os.rename(folder, previous_of(folder))


def _remove_leftovers(folder: Path) -> None:
    for left in folder.parent.glob(f".{folder.name}.*.new"):  # of a process that was killed while it wrote
        shutil.rmtree(left, ignore_errors=True)


def _sum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _read(folder: Path, device: str) -> DDPG:
    body, data = _read_files(folder)
    if body["format"] != FORMAT:
        raise _NotWhole("not an agent's checkpoint")
    if body["version"] != VERSION:
        raise _NotWhole(f"of format version {body['version']}, this program knows {VERSION}")
    try:
        config = AgentConfig.from_dict(body["config"])
        _check_sizes(body, config, data)
        agent = DDPG(body["observation_size"], body["action_size"], config, seed=body["seed"], device=device)
        _restore(agent, parse_tensors(data))
        agent.set_state(body["state"])
        agent.extra = dict(body["extra"])
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RuntimeError,
        OverflowError,
        MemoryError,
        SafetensorError,
    ) as error:
        # Sums are right, so it is whole: written by another version of this program, or by somebody.
        raise _NotWhole(f"does not fit this version ({' '.join(str(error).split()) or type(error).__name__})") from error
    return agent


def _read_files(folder: Path) -> tuple[dict[str, Any], bytes]:
    """The manifest's body and the tensors as bytes, whole by their sums.

    The sums tell damage, not malice: whoever can write here can sum up as well. So nothing is believed of what they cover.
    """
    if not folder.exists():
        raise _NotWhole("there is none")
    try:
        manifest = json.loads(_read_at_most(folder / MANIFEST, _MANIFEST_BYTES))
        body = manifest["agent"]
        said = (body["format"], body["version"], body["tensors"]["bytes"], body["tensors"]["sha256"])
        if manifest["sha256"] != _sum(body) and said[:2] == (FORMAT, VERSION):
            raise _NotWhole(f"{MANIFEST} was changed or damaged")
        size = (folder / TENSORS).stat().st_size
        if size != said[2]:
            raise _NotWhole(f"{TENSORS} is truncated: {size} of {said[2]} bytes")
        data = _read_at_most(folder / TENSORS, _TENSORS_BYTES)
    except FileNotFoundError as error:
        raise _NotWhole(f"{Path(str(error.filename)).name} is missing: not a checkpoint") from error
    except OSError as error:
        raise _NotWhole(f"cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _NotWhole(f"{MANIFEST} is not an agent's") from error
    if hashlib.sha256(data).hexdigest() != said[3]:
        raise _NotWhole(f"{TENSORS} is damaged")
    return body, data


def _read_at_most(path: Path, most: int) -> bytes:
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise _NotWhole(f"{path.name} is not an agent's: {size} bytes, and no agent has more than {most}")
        return file.read(size)


def _check_sizes(body: Mapping[str, Any], config: AgentConfig, data: bytes) -> None:
    """Before anything is allocated: the header's length, and how large an agent is asked for.

    Raises:
        ValueError: not what `save` writes.
    """
    header = int.from_bytes(data[:8], "little")
    if len(data) < 8 or header > min(len(data) - 8, _HEADER_BYTES):
        raise ValueError(f"the header of {TENSORS} would have {header} bytes, the file has {len(data)}")
    if data[8:9] != b"{":
        raise ValueError(f"{TENSORS} has no header")
    asked = {"observation_size": body["observation_size"], "action_size": body["action_size"]}
    asked |= {"hidden": config.hidden, "members": config.members}
    for name, value in asked.items():
        if type(value) is not int or not 0 < value <= _MOST:
            raise ValueError(f"{name} = {value}")
    if config.hidden**2 * config.members > _MOST_WEIGHTS:
        raise ValueError(f"{config.members} networks of {config.hidden}² weights")


def _tensors(agent: DDPG) -> dict[str, Tensor]:
    tensors = {f"buffer.{name}": torch.from_numpy(array) for name, array in agent.replay.arrays().items()}
    for name, module in agent.nets.modules().items():
        tensors |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
    for name, optimizer in agent.nets.optimizers().items():
        for index, state in optimizer.state().items():
            tensors |= {f"{name}.{index}.{key}": value for key, value in state.items()}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _restore(agent: DDPG, tensors: Mapping[str, Tensor]) -> None:
    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    agent.replay.restore({name: value.numpy() for name, value in part("buffer.").items()})
    for name, module in agent.nets.modules().items():
        module.load_state_dict(part(f"{name}."))
    for name, optimizer in agent.nets.optimizers().items():
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in part(f"{name}.").items():
            index, _, field = key.partition(".")
            state.setdefault(int(index), {})[field] = value
        optimizer.restore(state)
