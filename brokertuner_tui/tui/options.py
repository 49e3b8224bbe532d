"""What the screen is told before it comes up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """The part of the settings that the screen needs, without the settings' own machinery."""

    theme: str = "dark"
    ascii: bool = False
    keymap: Mapping[str, str] = field(default_factory=dict)
    theme_folders: tuple[Path, ...] = ()
    """Shipped themes first, the operator's own last."""
    log_file: Path | None = None
    """Where logging goes while the screen is up."""
    no_colour: bool = False
