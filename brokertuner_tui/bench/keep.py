"""A benchmark's folder: what was asked for (`plan.json`) and what came of it (`results.jsonl`), at every moment whole."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from brokertuner_tui.bench.plan import Plan
from brokertuner_tui.bench.results import Cell, Confirmation, Confirmed, Unit, from_json, to_json
from brokertuner_tui.errors import UsageError
from brokertuner_tui.files import check_disk, remove_leftovers, replace_file, sync_folder
from brokertuner_tui.process.lock import Taken, TunerLock

PLAN = "plan.json"
RESULTS = "results.jsonl"
_LOCK = "lock"


@dataclass(slots=True)
class Results:
    """What there is so far: of what was measured twice (a confirmation, when a method was added), the last."""

    units: dict[tuple[Cell, str], Unit] = field(default_factory=dict)
    confirmations: dict[Cell, Confirmation] = field(default_factory=dict)

    def add(self, record: Unit | Confirmation) -> None:
        """Takes one in."""
        if isinstance(record, Unit):
            self.units[record.cell, record.method] = record
        else:
            self.confirmations[record.cell] = record

    def of(self, cell: Cell) -> dict[str, Unit]:
        """The units of `cell`, by method."""
        return {unit.method: unit for unit in self.units.values() if unit.cell == cell}

    def confirmed(self, cell: Cell) -> tuple[Confirmed, ...]:
        """What was measured in turns in `cell`."""
        return self.confirmations[cell].records if cell in self.confirmations else ()

    def is_confirmed(self, cell: Cell) -> bool:
        """Whether all that ran in `cell` was confirmed together."""
        return cell in self.confirmations and set(self.confirmations[cell].methods) >= set(self.of(cell))


class Folder:
    """A benchmark's folder, held by one process; `with` closes it.

    Args:
        path: made if it is missing.
        plan: what was asked for; None: what the folder holds.

    Raises:
        UsageError: the folder has another plan, cannot be used, or is in use.
        DiskFailed: the disk failed.
    """

    def __init__(self, path: Path, plan: Plan | None) -> None:
        self.path = path
        kept = read_plan(path)
        if plan is None and kept is None:
            raise UsageError(f"--out {path}: holds no benchmark")
        if kept is None:
            self.plan = _given(plan)
            self._begin()
        else:
            try:
                self.plan = kept if plan is None else kept.grown(plan)
            except ValueError as error:
                raise UsageError(f"--out {path}: holds another benchmark: {error}; choose another folder") from None
        self._lock = _take(path)
        try:
            if self.plan != kept:
                self._write_plan()
            remove_leftovers(path / PLAN)
            self.results, length = read_results(path / RESULTS)
            self._results = os.open(path / RESULTS, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            # What a kill left of a last line was never acknowledged.
            os.ftruncate(self._results, length)
            os.lseek(self._results, length, os.SEEK_SET)
        except OSError as error:
            self._lock.release()
            check_disk(error, path)
            raise UsageError(f"--out {path}: cannot be used: {error.strerror}") from error
        except BaseException:
            self._lock.release()
            raise

    def add(self, record: Unit | Confirmation) -> None:
        """Keeps `record`: it is on the disk when this returns.

        Raises:
            UsageError: it cannot be written (no room).
            DiskFailed: the disk failed.
        """
        view = memoryview((json.dumps(to_json(record), allow_nan=False, separators=(",", ":")) + "\n").encode())
        before = os.lseek(self._results, 0, os.SEEK_CUR)
        try:
            while view:
                view = view[os.write(self._results, view) :]
            os.fsync(self._results)
        except OSError as error:
            check_disk(error, self.path / RESULTS)
            os.ftruncate(self._results, before)
            os.lseek(self._results, before, os.SEEK_SET)
            raise UsageError(f"{self.path / RESULTS}: cannot be written: {error.strerror}") from error
        self.results.add(record)

    def close(self) -> None:
        """Lets go of it."""
        with contextlib.suppress(OSError):
            os.close(self._results)
        self._lock.release()

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def _begin(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if any(self.path.iterdir()):
                raise UsageError(f"--out {self.path}: is not empty, and holds no benchmark; choose another folder")
        except OSError as error:
            raise UsageError(f"--out {self.path}: cannot be used: {error.strerror}") from None

    def _write_plan(self) -> None:
        text = json.dumps(self.plan.as_dict(), indent=1, ensure_ascii=False) + "\n"
        replace_file(self.path / PLAN, text.encode(), mode=0o644)
        sync_folder(self.path.parent)


def read_plan(path: Path) -> Plan | None:
    """The plan of the folder `path`; None: there is none.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        text = (path / PLAN).read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        if path.exists() and not path.is_dir():
            raise UsageError(f"--out {path}: is not a folder") from None
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path / PLAN}: cannot be read: {error}") from None
    try:
        return Plan.from_dict(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UsageError(f"{path / PLAN}: is not the plan of a benchmark; choose another folder") from None


def read_results(path: Path) -> tuple[Results, int]:
    """What `results.jsonl` holds, and the bytes up to the end of its last whole line; nothing if there is no file.

    Raises:
        UsageError: it cannot be read, or a line that is not the last one is none of ours.
    """
    results = Results()
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return results, 0
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    length = data.rfind(b"\n") + 1
    for number, line in enumerate(data[:length].splitlines(), 1):
        try:
            results.add(from_json(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise UsageError(f"{path}, line {number}: is no result of a benchmark; choose another folder") from None
    return results, length


def read(path: Path) -> tuple[Plan, Results]:
    """A benchmark's plan and results, for a reader: nothing is locked or changed.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    plan = read_plan(path)
    if plan is None:
        raise UsageError(f"{path}: holds no benchmark")
    return plan, read_results(path / RESULTS)[0]


def _given(plan: Plan | None) -> Plan:
    assert plan is not None
    return plan


def _take(path: Path) -> TunerLock:
    try:
        return TunerLock(path / _LOCK)
    except Taken as error:
        raise UsageError(f"--out {path}: a benchmark runs there: {error.holder.told()}") from None
    except OSError as error:
        raise UsageError(f"--out {path}: cannot be used: {error.strerror}") from None
