"""Every path in use, as a table and as JSON."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from brokertuner_tui import paths
from brokertuner_tui.broker.find import find_mosquitto
from brokertuner_tui.cli.settings import save_dir_of
from brokertuner_tui.cli.tables import new_table
from brokertuner_tui.config.load import Loaded
from brokertuner_tui.errors import TunerError
from brokertuner_tui.store.place import Server, place_of


def as_data(loaded: Loaded) -> dict[str, str | list[str] | None]:
    """By name; `mosquitto` is None where there is none."""
    return {
        name: [str(part) for part in path] if isinstance(path, tuple) else _text(path) for name, path in _all(loaded).items()
    }


def as_table(loaded: Loaded) -> Table:
    """A row a path, and whether it is there."""
    table = new_table("What")
    table.add_column("Path", overflow="fold")
    table.add_column("", no_wrap=True)
    for name, path in _all(loaded).items():
        for part in path if isinstance(path, tuple) else (path,):
            table.add_row(name, _text(part) or "none", _note(part))
    return table


def _note(path: Path | str | None) -> str:
    if isinstance(path, str):
        return "a server: not asked"
    return "" if path is not None and path.exists() else "not there"


def _text(path: Path | str | None) -> str | None:
    return None if path is None else str(path)


def _all(loaded: Loaded) -> dict[str, Path | tuple[Path, ...] | str | None]:
    save_dir = save_dir_of(loaded)
    store = place_of(loaded.settings.store, save_dir)
    return {
        "config read": loaded.files,
        "project config": Path.cwd() / paths.CONFIG_NAME,
        "user config": paths.user_config_file(),
        "user themes": paths.user_themes_dir(),
        "save dir": save_dir,
        "store": store.url if isinstance(store, Server) else store,
        **({"spool": store.spool} if isinstance(store, Server) else {}),
        "runs": save_dir / "runs",
        "checkpoints": save_dir / "checkpoints",
        "progress log": save_dir / "logs" / "progress.csv",
        "action log": save_dir / "action_throughput_log.csv",
        "program logs": paths.log_dir(),
        "state": paths.state_dir(),
        "themes": paths.themes_dir(),
        "mosquitto": _mosquitto(loaded),
        "private mosquitto": paths.mosquitto_dir(),
    }


def _mosquitto(loaded: Loaded) -> Path | None:
    try:
        return find_mosquitto(loaded.settings.broker.mosquitto)
    except TunerError:
        return None
