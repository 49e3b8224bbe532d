"""Reading a TOML file so that whatever is wrong with it is said in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli

from brokertuner_tui.config.errors import ConfigFileError

LARGEST_FILE = 4 * 2**20  # bytes; a config is a few thousand, and a device or a disk image given by mistake never ends


def read_toml(path: Path) -> dict[str, Any]:
    """The content of the TOML file `path`.

    Raises:
        ConfigFileError: it is missing, cannot be read, or is not TOML; the message names the file and the line.
    """
    where = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigFileError(where, f"cannot be read: {error.strerror or error}") from None
    if len(data) > LARGEST_FILE:
        raise ConfigFileError(where, f"is larger than {LARGEST_FILE} bytes: not a config")
    try:
        text = data.decode("utf-8-sig")  # some editors put a byte order mark at the front
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigFileError(where, f"line {line}: not UTF-8 text") from None
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise ConfigFileError(where, f"line {error.lineno}, column {error.colno}: not TOML: {error.msg}") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a nest of thousands of brackets
        raise ConfigFileError(where, f"not TOML that can be read: {error}") from None
