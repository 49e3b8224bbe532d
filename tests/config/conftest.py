"""A home without any config of the person who runs the tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from brokertuner_tui.config.load import Loaded, load_settings

Load = Callable[..., Loaded]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every folder of the user's below a temporary one."""
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / "home" / name.lower()))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """`load_settings` in an empty folder and environment; `project`, `user` and `config` are the files' texts."""
    from brokertuner_tui import paths

    folder = tmp_path / "project"
    folder.mkdir()

    def run(
        *,
        project: str | None = None,
        user: str | None = None,
        config: str | None = None,
        environ: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Loaded:
        for path, text in (
            (folder / "brokertuner.toml", project),
            (paths.user_config_file(), user),
            (folder / "given.toml", config),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is not None:
                path.write_text(text)
        given = Path("given.toml") if config is not None else None
        return load_settings(config_file=given, environ=environ or {}, cwd=folder, **more)

    return run
