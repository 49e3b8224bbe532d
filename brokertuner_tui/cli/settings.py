"""From what was typed to settings and workload."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brokertuner_tui.errors import UsageError
from brokertuner_tui.redaction import without_secrets

if TYPE_CHECKING:
    from brokertuner_tui.config.load import Loaded


def load(
    *,
    config: Path | None,
    save_dir: Path | None = None,
    mosquitto: Path | None = None,
    workload_file: Path | None = None,
    seed: int | None = None,
    broker: str | None = None,
    more: Mapping[str, object] | None = None,
    recorded: Mapping[str, Any] | None = None,
) -> Loaded:
    """The settings in force; `more` has the command's own flags by dotted key, None where one was not typed.

    Args:
        broker: what `--broker` says: a kind, or the URL of an agent.
        recorded: the settings of a run that goes on; only flags win over them.

    Raises:
        UsageError: a file, a variable or a flag says something that is not allowed.
    """
    from brokertuner_tui.config.load import load_settings

    typed: dict[str, object] = {"store.save_dir": save_dir, "broker.mosquitto": mosquitto, "seed": seed, **(more or {})}
    typed |= _broker(broker)
    return load_settings(config_file=config, workload_file=workload_file, overrides=typed, recorded=recorded)


def _broker(text: str | None) -> dict[str, object]:
    """`--broker` as settings."""
    if text is None:
        return {}
    if text.startswith(("http://", "https://")):
        return {"broker.kind": "remote", "broker.url": text}
    if text not in (kinds := ("managed", "systemd", "command")):
        raise UsageError(f"--broker {without_secrets(text)}: must be {', '.join(kinds)}, or an agent's URL (https://host:8080)")
    return {"broker.kind": text}


def save_dir_of(loaded: Loaded) -> Path:
    """Where results go."""
    from brokertuner_tui.paths import default_save_dir

    return loaded.settings.store.save_dir or default_save_dir()
