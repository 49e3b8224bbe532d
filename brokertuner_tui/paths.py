"""Where the tuner keeps what: the folders that the system's conventions (XDG on Linux) give to a user's programs.

Nothing here reads the tuner's own configuration, and nothing is made before `private_folder` is asked to.
"""

from __future__ import annotations

from pathlib import Path

import platformdirs

from brokertuner_tui.errors import TunerError

APP = "brokertuner-tui"
CONFIG_NAME = "brokertuner.toml"
"""The config's file name, in the project's folder and in the user's."""


def config_dir() -> Path:
    """What the user writes: the config and own themes."""
    return platformdirs.user_config_path(APP)


def data_dir() -> Path:
    """What must last: the default `--save-dir` (store, checkpoints, logs of runs)."""
    return platformdirs.user_data_path(APP)


def state_dir() -> Path:
    """What may be lost without harm, but outlives a restart: the broker's private folders."""
    return platformdirs.user_state_path(APP)


def log_dir() -> Path:
    """Logs of the program itself."""
    return platformdirs.user_log_path(APP)


def cache_dir() -> Path:
    """What can be made again."""
    return platformdirs.user_cache_path(APP)


def user_config_file() -> Path:
    """The user's config, read after the project's."""
    return config_dir() / CONFIG_NAME


def default_save_dir() -> Path:
    """Where results go without `--save-dir`."""
    return data_dir()


def mosquitto_dir() -> Path:
    """Where a private Mosquitto is unpacked (`scripts/get-mosquitto`)."""
    return data_dir() / "mosquitto"


def user_themes_dir() -> Path:
    """The user's own themes; they win over shipped ones of the same name."""
    return config_dir() / "themes"


def themes_dir() -> Path:
    """The themes that come with the program.

    An installed package has them inside; a checkout (editable install) keeps them at its top.
    """
    package = Path(__file__).resolve().parent
    inside = package / "themes"
    return inside if inside.is_dir() else package.parent / "themes"


def private_folder(folder: Path) -> Path:
    """`folder`, made if it is missing, with what is missing above it; what is made is the user's alone (0700).

    Raises:
        TunerError: it cannot be made, or something else has its name.
    """
    missing = []
    above = folder
    try:
        while not above.exists():
            missing.append(above)
            above = above.parent
        for new in reversed(missing):
            new.mkdir(mode=0o700, exist_ok=True)
        if not folder.is_dir():
            raise TunerError(f"{folder} is not a folder")
    except OSError as error:
        raise TunerError(f"the folder {folder} cannot be made: {error.strerror or error}") from None
    return folder
