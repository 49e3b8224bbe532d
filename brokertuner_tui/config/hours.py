"""Hours of the day, as an operator writes them: "22:00-06:00"."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MINUTES_A_DAY = 24 * 60
_TIMES = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])\s*-\s*(?:([01]?[0-9]|2[0-3]):([0-5][0-9])|24:00)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Hours:
    """From `start` up to, and without, `end`, in minutes after midnight (local time); over midnight where `end` is earlier."""

    start: int
    """0 to 1439"""
    end: int
    """0 to 1439; the same as `start` means the whole day."""

    @classmethod
    def parse(cls, text: str) -> Hours:
        """From "22:00-06:00"; "24:00" may stand at the end.

        Raises:
            ValueError: it is none; the message says what is allowed.
        """
        found = _TIMES.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text!r} is no time of day such as 22:00-06:00")
        hour, minute, end_hour, end_minute = found.groups()
        end = int(end_hour) * 60 + int(end_minute) if end_hour is not None else 0
        return cls(int(hour) * 60 + int(minute), end)

    def __contains__(self, minute: int) -> bool:
        """Whether `minute` (after midnight) is among them."""
        return (minute - self.start) % _MINUTES_A_DAY < self.length

    @property
    def length(self) -> int:
        """Minutes, 1 to 1440."""
        return (self.end - self.start) % _MINUTES_A_DAY or _MINUTES_A_DAY
