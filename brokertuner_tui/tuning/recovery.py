"""What a tuner that was killed has left behind: ended by identity, once, and said. Nothing is run again by itself."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from brokertuner_tui.process import registry
from brokertuner_tui.process.identity import SAME_S, Identity
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.events import Level

if TYPE_CHECKING:  # importing the store imports SQLAlchemy
    from brokertuner_tui.store.rows import RunRow

log = logging.getLogger(__name__)
CHECK_EVERY_S = 60.0
_MOST_NAMED = 5


def release(run: RunRow, save_dir: Path) -> str:
    """Ends the processes of a run whose own process is gone, each with its group; gives what was done, in words.

    A checkpoint that was cut off in the middle goes, too.

    May be called again: what has ended, or has given its PID to somebody else, is left alone.
    """
    done = [f"its {what} (process {child.pid}) was ended" for what, child in _children(run) if registry.end(child)]
    owner = run.info.owner
    for orphan in registry.orphans():
        is_its = orphan.owner_pid == owner.pid and abs(orphan.owner_created_at - owner.created_at) < SAME_S
        if is_its and registry.end(orphan.child):
            done.append(f"its {orphan.program} (process {orphan.pid}) was ended")
    registry.tidy()
    for left in (save_dir / "checkpoints").glob(f".{run.id}.*.new"):
        shutil.rmtree(left, ignore_errors=True)
    return ", ".join(done)


def _children(run: RunRow) -> Iterator[tuple[str, Identity]]:
    broker, load = run.broker, run.load
    if broker is not None and broker.ours and broker.pid is not None and broker.created_at is not None:
        yield "broker", Identity(broker.pid, broker.created_at)
    if load is not None and load.pid is not None and load.created_at is not None:
        yield "load", Identity(load.pid, load.created_at)


def end_orphans() -> list[str]:
    """Ends every child whose tuner is gone, whatever it was doing; gives them in words."""
    ended = [registry.describe(orphan) for orphan in registry.orphans() if registry.end(orphan.child)]
    registry.tidy()
    return ended


class OrphanWatch:
    """Looks for orphans now and then, and tells when there are others than before. Used by one thread."""

    def __init__(
        self,
        tell: Callable[[events.Event], None],
        *,
        every_s: float = CHECK_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell, self._every_s, self._clock = tell, every_s, clock
        self._due = clock()
        self._known: frozenset[int] = frozenset()

    def poll(self) -> None:
        """Looks, if it is time to."""
        if self._clock() < self._due:
            return
        self._due = self._clock() + self._every_s
        found = registry.orphans()
        before, self._known = self._known, frozenset(orphan.pid for orphan in found)
        if self._known - before:
            level: Level = "error" if len(found) > registry.TOO_MANY else "warning"
            log.log(logging.ERROR if level == "error" else logging.WARNING, "%s", told(found))
            self._tell(events.Notice(time.time(), told(found), level))


def told(orphans: list[registry.Entry]) -> str:
    """Who lives on, and what ends them."""
    named = ", ".join(registry.describe(orphan) for orphan in orphans[:_MOST_NAMED])
    more = f" and {len(orphans) - _MOST_NAMED} more" if len(orphans) > _MOST_NAMED else ""
    if len(orphans) == 1:
        return f"a process lives on, though its tuner is gone: {named}; `{registry.HOW_TO_END}` ends it"
    return f"{len(orphans)} processes live on, though their tuners are gone: {named}{more}; `{registry.HOW_TO_END}` ends them"
