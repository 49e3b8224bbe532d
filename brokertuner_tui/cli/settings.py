"""From what was typed to settings and workload."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brokertuner_tui.config.load import Loaded


def load(
    *,
    config: Path | None,
    save_dir: Path | None = None,
    mosquitto: Path | None = None,
    workload_file: Path | None = None,
    seed: int | None = None,
    more: Mapping[str, object] | None = None,
) -> Loaded:
    """The settings in force; `more` has the command's own flags by dotted key, None where one was not typed.

    Raises:
        ConfigError: a file, a variable or a flag says something that is not allowed.
    """
    from brokertuner_tui.config.load import load_settings

    typed: dict[str, object] = {"store.save_dir": save_dir, "broker.mosquitto": mosquitto, "seed": seed, **(more or {})}
    return load_settings(config_file=config, workload_file=workload_file, overrides=typed)


def save_dir_of(loaded: Loaded) -> Path:
    """Where results go."""
    from brokertuner_tui.paths import default_save_dir

    return loaded.settings.store.save_dir or default_save_dir()
