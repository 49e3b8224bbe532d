"""Where a setting comes from: flag, environment, `--config` file, project file, user file, default; the first that has it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from brokertuner_tui import paths
from brokertuner_tui.config.errors import UnknownKey, bad_value, from_pydantic
from brokertuner_tui.config.fields import NONE_WORD, Setting, all_settings, from_text, nearest, sections
from brokertuner_tui.config.files import read_toml
from brokertuner_tui.config.settings import Settings
from brokertuner_tui.config.workloads import DEFAULT, SHIPPED, Table, read_tables, read_workload_file, resolve, shipped_tables
from brokertuner_tui.errors import UsageError
from brokertuner_tui.knobs.catalogue import NAMES
from brokertuner_tui.knobs.validation import KnobError, check
from brokertuner_tui.workload import live
from brokertuner_tui.workload.live.traffic import initial_profile
from brokertuner_tui.workload.profile import Workload

PREFIX = "BROKERTUNER_"
RESERVED = ("BROKERTUNER_MOSQUITTO_DIR", "BROKERTUNER_TEST_")
"""Variables of ours that are no settings: where `./run` keeps a private Mosquitto, and what `./test` tests against."""
SECRETS = ("BROKERTUNER_BROKER_PASSWORD",)
"""Variables of ours that are no settings since they must not be kept (`config/credentials.py`)."""
FOREIGN = {"MOSQUITTO_PID": "broker.mosquitto_pid", "MOSQUITTO_TUNER_CONFIG": "broker.tuner_config"}
"""Variables without our prefix that set something; the prefixed ones win over them."""

PINS = "tuning.pin"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings and workloads in force, and where each comes from."""

    settings: Settings
    workloads: Mapping[str, Workload]
    sources: Mapping[str, str]
    """Dotted key (also of every single pin, and `workload.NAME`) to a file, a variable, a flag, or `default`."""
    files: tuple[Path, ...]
    """The files that were read, the strongest first."""


@dataclass(slots=True)
class _Layer:
    """What one source says: values by dotted key (every pin has a key of its own), and where each stands."""

    base: Path
    """What relative paths are relative to."""
    values: dict[str, Any] = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)

    def put(self, key: str, value: object, where: str) -> None:
        """Takes a value for the setting `key`, or for one entry of a table of the operator's own (`tuning.pin.NAME`).

        Raises:
            ConfigError: the value cannot be what the setting is.
        """
        setting = _setting(key)
        if setting.is_table and key == setting.key:
            if not isinstance(value, Mapping):
                raise bad_value(where, key, value, setting.allowed)
            for name, entry in value.items():
                self.put(f"{key}.{name}", entry, where)
            return
        self.values[key] = _ready(setting, key, value, where, self.base)
        self.where[key] = where

    def check(self) -> None:
        """Checks every value.

        Raises:
            ConfigError: the first that is not allowed.
        """
        try:
            Settings.model_validate(_nested(self.values))
        except ValidationError as error:
            path = ".".join(str(part) for part in error.errors(include_url=False)[0]["loc"])
            key = next((key for key in self.where if path == key or path.startswith(f"{key}.")), "")
            raise from_pydantic(error, self.where[key], "", all_settings()) from None


def load_settings(
    *,
    config_file: Path | None = None,
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    workload_file: Path | None = None,
    recorded: Mapping[str, Any] | None = None,
) -> Loaded:
    """Reads everything that says something, checks it, and puts it together.

    Args:
        config_file: `--config`; its settings win over the project's file (`brokertuner.toml` in `cwd`) and the user's.
        overrides: values by dotted key from the command line; None means that the flag was not given. `tuning.pin` takes a
            mapping, or a list of `KNOB=VALUE` texts.
        environ: the environment; None: this process's. An empty variable counts as not set.
        cwd: the folder to start from; None: this process's.
        workload_file: `--workload-file`; its workloads win over all others.
        recorded: the settings that a run had, as its record has them; they win over all but `overrides`. Where results go
            (`[store]`) is not for them to say.

    Raises:
        ConfigError: a file is missing or not TOML, a key is unknown, or a value is not allowed; the message names the
            file, variable or flag, the key, the value, and what is allowed.
    """
    cwd = Path.cwd() if cwd is None else cwd
    environ = os.environ if environ is None else environ
    layers: list[_Layer] = []  # the weakest first
    tables: dict[str, Table] = dict(shipped_tables())
    files: list[Path] = []

    for path in _files(config_file, cwd):
        data = read_toml(path)
        tables |= read_tables(data.pop("workload", {}), str(path))
        layers.append(_from_file(data, path))
        files.insert(0, path)
    if workload_file is not None:
        path = _at(cwd, workload_file)
        tables |= read_workload_file(path)
        files.insert(0, path)
    layers.append(_from_environment(environ, cwd))
    if recorded is not None:
        layers.append(_from_record(recorded, layers, cwd))
    layers.append(_from_flags(overrides or {}, cwd))

    values: dict[str, Any] = {}
    sources = dict.fromkeys(all_settings(), DEFAULT)
    for layer in layers:
        layer.check()
        values |= layer.values
        sources |= layer.where
    for key, setting in all_settings().items():
        if setting.is_table and any(name.startswith(f"{key}.") for name in values):
            del sources[key]  # its entries say it, one by one
    sources |= {f"workload.{name}": table.where for name, table in tables.items()} | {f"workload.{live.NAME}": SHIPPED}
    if live.NAME in tables:
        allowed = "this name means the traffic that is really there ([live]); another one is needed"
        raise bad_value(tables[live.NAME].where, "workload", live.NAME, allowed)
    settings = Settings.model_validate(_nested(values))
    workloads = resolve(tables) | {live.NAME: Workload.steady(initial_profile(settings.live))}
    return Loaded(settings, workloads, sources, tuple(files))


def _files(config_file: Path | None, cwd: Path) -> list[Path]:
    """The files to read, the weakest first; only `--config` must exist."""
    found = [path for path in (paths.user_config_file(), cwd / paths.CONFIG_NAME) if os.path.lexists(path)]
    if config_file is not None:
        found.append(_at(cwd, config_file))
    kept: dict[Path, Path] = {}
    for path in found:
        kept.pop(path.resolve(), None)  # one file in two places counts where it is strongest
        kept[path.resolve()] = path
    return list(kept.values())


def _at(folder: Path, path: Path) -> Path:
    return folder / os.path.expanduser(path)


def _from_file(data: Mapping[str, Any], path: Path) -> _Layer:
    layer = _Layer(path.parent)
    for key, value in _flat(data, str(path)):
        layer.put(key, value, str(path))
    return layer


def _flat(data: Mapping[str, Any], where: str, prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in data.items():
        key = prefix + name
        if key in all_settings():
            yield key, value
        elif key not in sections():
            raise UnknownKey(where, key, value, nearest(key, _near(prefix)))
        elif not isinstance(value, Mapping):
            raise bad_value(where, key, value, f"must be a table: [{key}]")
        else:
            yield from _flat(value, where, f"{key}.")


def _near(prefix: str) -> list[str]:
    """What an unknown key in the table `prefix` may have meant: first that table's own, then everything."""
    known = [*all_settings(), *sections(), "workload"]
    return [key for key in known if key.startswith(prefix)] + [key for key in known if not key.startswith(prefix)]


def _from_environment(environ: Mapping[str, str], cwd: Path) -> _Layer:
    layer = _Layer(cwd)
    by_variable = {setting.variable: setting for setting in all_settings().values()}
    for name, key in FOREIGN.items():
        if environ.get(name):
            layer.put(key, from_text(_setting(key), environ[name]), f"environment variable {name}")
    for name, text in environ.items():
        if not name.startswith(PREFIX) or name.startswith(RESERVED) or name in SECRETS:
            continue
        where = f"environment variable {name}"
        if name not in by_variable:
            raise UnknownKey(where, name, text, nearest(name, by_variable))
        if text:
            layer.put(by_variable[name].key, from_text(by_variable[name], text), where)
    return layer


def _from_record(recorded: Mapping[str, Any], weaker: list[_Layer], cwd: Path) -> _Layer:
    """What differs from what would hold without it: what nobody has set stays so. Settings of other versions are left out."""
    layer, so_far = _Layer(cwd), dict[str, Any]()
    for other in weaker:
        so_far |= other.values
    now = Settings.model_validate(_nested(so_far)).model_dump(mode="json")
    for key, setting in all_settings().items():
        (is_there, then), (_, today) = _in(recorded, key), _in(now, key)
        if not is_there or key.startswith("store.") or then == today:
            continue
        if setting.is_table:  # the entries that it does not have are not to come from elsewhere
            for other in weaker:
                for name in [name for name in other.values if name.startswith(f"{key}.")]:
                    del other.values[name], other.where[name]
        layer.put(key, then, "the run's record")
    return layer


def _in(table: Mapping[str, Any], key: str) -> tuple[bool, Any]:
    """Whether the nested `table` has the dotted `key`, and what it says there."""
    value: Any = table
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return False, None
        value = value[part]
    return True, value


def _from_flags(overrides: Mapping[str, object], cwd: Path) -> _Layer:
    layer = _Layer(cwd)
    for key, value in overrides.items():
        if value is None:
            continue
        setting = _setting(key)
        if isinstance(value, str) and setting.kind is not str:
            value = from_text(setting, value)
        elif setting.is_table and isinstance(value, (list, tuple)):
            value = _pairs(setting, value)
        layer.put(key, value, setting.flag)
    return layer


def _pairs(setting: Setting, parts: Iterable[object]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in parts:
        name, equals, value = str(part).partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{setting.flag} {part}: must be NAME=VALUE")
        pairs[name.strip()] = value.strip()
    return pairs


def _setting(key: str) -> Setting:
    """The setting `key`, or the table that `key` is an entry of.

    Raises:
        KeyError: there is none (a mistake of ours: the operator's keys are checked before).
    """
    known = all_settings()
    if key in known:
        return known[key]
    return next(setting for name, setting in known.items() if setting.is_table and key.startswith(f"{name}."))


def _ready(setting: Setting, key: str, value: object, where: str, base: Path) -> object:
    """`value` as the model wants it: paths as absolute paths, `none` as None, pins checked."""
    if setting.key == PINS:
        return _pin(key.removeprefix(f"{PINS}."), key, value, where)
    if setting.nullable and isinstance(value, str) and value.lower() == NONE_WORD:
        return None
    if setting.kind is Path and isinstance(value, (str, Path)):
        text = str(value)
        if not text or not text.isprintable():
            raise bad_value(where, key, value, f"{setting.allowed}, without line breaks or control characters")
        return Path(os.path.abspath(_at(base, Path(text))))
    return value


def _pin(name: str, key: str, value: object, where: str) -> object:
    if name not in NAMES:
        raise UnknownKey(where, key, value, nearest(name, NAMES))
    try:
        return check(name, value)
    except KnobError as error:
        raise bad_value(where, key, value, error.reason) from None


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as nested tables."""
    root: dict[str, Any] = {}
    for key, value in values.items():
        setting = _setting(key)
        *above, last = setting.key.split(".")
        table = root
        for name in above:
            table = table.setdefault(name, {})
        if setting.is_table:
            table.setdefault(last, {})[key.removeprefix(f"{setting.key}.")] = value
        else:
            table[last] = value
    return root
