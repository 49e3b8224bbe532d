"""What a check says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, but less well, or something that you may want is missing."""
    FAILURE = "failure"
    """Tuning cannot begin, or would not be safe."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's answer."""

    name: str
    """What was looked at, in a word or three."""
    level: Level
    says: str
    """What is, in one sentence."""
    why: str = ""
    """Why it matters; only where it is not ok."""
    mend: tuple[str, ...] = ()
    """The exact commands that mend it, one a line (a comment explains what is no command)."""
    fix: Callable[[], str] | None = field(default=None, compare=False)
    """What `--fix` may do by itself: harmless, and only to files of our own. Gives what was done.

    Raises:
        OSError: it could not be done.
    """

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "name": self.name,
            "level": str(self.level),
            "says": self.says,
            "why": self.why,
            "mend": list(self.mend),
            "fixable": self.fix is not None,
        }


def ok(name: str, says: str) -> Finding:
    """All is well."""
    return Finding(name, Level.OK, says)


def warning(name: str, says: str, why: str, *mend: str, fix: Callable[[], str] | None = None) -> Finding:
    """Something is less than it could be."""
    return Finding(name, Level.WARNING, says, why, mend, fix)


def failure(name: str, says: str, why: str, *mend: str, fix: Callable[[], str] | None = None) -> Finding:
    """Something has to be mended first."""
    return Finding(name, Level.FAILURE, says, why, mend, fix)
