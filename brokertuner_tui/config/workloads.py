"""Workloads in TOML: `[workload.NAME]` tables, checked, as `Profile`s and `Workload`s."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tomli
from pydantic import Field, ValidationError

from brokertuner_tui.config.errors import UnknownKey, bad_value, from_pydantic
from brokertuner_tui.config.fields import nearest, settings_of
from brokertuner_tui.config.files import read_toml
from brokertuner_tui.config.settings import Section
from brokertuner_tui.errors import ConfigError, UsageError
from brokertuner_tui.workload import limits
from brokertuner_tui.workload.limits import (
    MAX_CLIENTS,
    MAX_CONNECTS_PER_S,
    MAX_PARTS,
    MAX_PAYLOAD_BYTES,
    MAX_WINDOW,
    MIN_PAYLOAD_BYTES,
)
from brokertuner_tui.workload.profile import Phase, Profile, Workload
from brokertuner_tui.workload.shape import from_toml, is_shape

if TYPE_CHECKING:
    from brokertuner_tui.config.load import Loaded

DEFAULT = "default"
"""Where a setting that nobody set comes from."""
SHIPPED = "shipped"
"""Where the workloads that come with the program come from."""
RESERVED = ("record", "play")
"""Names that would hide commands: `workload record`, `workload play`."""
MAX_PHASES = 1000
MAX_DEPTH = 16

_Seconds = Annotated[float, Field(gt=0, le=3600)]


class ProfileTable(Section):
    """`[workload.NAME]` of one steady load; what each key means is said at `Profile`."""

    publishers: int = Field(1, ge=1, le=MAX_CLIENTS)
    subscribers: int = Field(1, ge=1, le=MAX_CLIENTS)
    topics: int = Field(1, ge=1, le=MAX_CLIENTS)
    qos: Literal[0, 1, 2] = 0
    payload_bytes: int = Field(64, ge=MIN_PAYLOAD_BYTES, le=MAX_PAYLOAD_BYTES)
    rate: float = Field(0.0, ge=0, le=10_000_000)
    window: int = Field(200, ge=1, le=MAX_WINDOW)
    client_rtt_ms: float = Field(0.0, ge=0, le=60_000)
    clean_session: bool = True
    offline_subscribers: int = Field(0, ge=0, le=MAX_CLIENTS)
    protocol: Literal[4, 5] = 4
    burst: tuple[_Seconds, _Seconds] | None = Field(
        None, description="two numbers greater than 0 and at most 3600, seconds on and seconds off: [0.2, 0.8]"
    )
    slo_ms: float = Field(50.0, gt=0, le=600_000)
    connects: float = Field(0.0, ge=0, le=MAX_CONNECTS_PER_S)


class PhaseTable(Section):
    """One entry of `phases`."""

    use: str
    seconds: float = Field(gt=0, le=86_400)


@dataclass(frozen=True, slots=True)
class Table:
    """A checked table whose `use`s are still names: one steady profile, phases, or a mix; or a recording, `made` already."""

    name: str
    where: str
    profile: Profile | None
    phases: tuple[PhaseTable, ...] = ()
    mix: tuple[str, ...] = ()
    made: Workload | None = None


def read_workloads(path: Path) -> dict[str, Workload]:
    """The workloads in the file `path` (`--workload-file`); their phases may use shipped ones, too.

    Raises:
        ConfigError: the file cannot be read, or something in it is not allowed.
    """
    tables = read_workload_file(path)
    known = resolve(dict(shipped_tables()) | tables)
    return {name: known[name] for name in tables}


def read_workload_file(path: Path) -> dict[str, Table]:
    """The tables of a file that holds workloads and nothing else; or the one of a recording, called `recorded`.

    Raises:
        ConfigError: the file cannot be read, or something in it is not allowed.
    """
    data = read_toml(path)
    if is_shape(data):
        from brokertuner_tui.workload import play  # numpy, which no other file needs

        where = str(path)
        made = play.playback(from_toml(data, where), where=where).workload
        return {play.NAME: Table(play.NAME, where, None, made=made)}
    for key, value in data.items():
        if key != "workload":
            raise UnknownKey(
                str(path), key, value, "; a workload file has [workload.NAME] tables only, settings go to --config"
            )
    return read_tables(data.get("workload", {}), str(path))


def get_workload(loaded: Loaded, name: str) -> Workload:
    """The workload called `name`.

    Raises:
        UsageError: there is none; the message lists those that there are, and where the name stood if that was the config.
    """
    if name in loaded.workloads:
        return loaded.workloads[name]
    known = f"known are {', '.join(sorted(loaded.workloads))}"
    source = loaded.sources.get("load.workload", DEFAULT)
    if name == loaded.settings.load.workload and source != DEFAULT:
        raise bad_value(source, "load.workload", name, f"unknown workload; {known}")
    raise UsageError(f"unknown workload {name!r}: {known}")


@cache
def shipped_tables() -> Mapping[str, Table]:
    """The workloads that come with the program."""
    text = resources.files("brokertuner_tui.config").joinpath("workloads.toml").read_text("utf-8")
    return read_tables(tomli.loads(text)["workload"], SHIPPED)


def read_tables(data: object, where: str) -> dict[str, Table]:
    """The `[workload.NAME]` tables of the file `where`, each checked by itself.

    Raises:
        ConfigError: a key is unknown or a value not allowed.
    """
    if not isinstance(data, Mapping):
        raise bad_value(where, "workload", data, "must be tables: [workload.NAME]")
    return {name: _read_table(name, table, where) for name, table in data.items()}


def _read_table(name: str, data: object, where: str) -> Table:
    key = f"workload.{name}"
    if not isinstance(data, Mapping):
        raise bad_value(where, key, data, f"must be a table: [{key}]")
    if not (name.isascii() and name.replace("-", "").replace("_", "").isalnum() and len(name) <= 64):
        raise bad_value(where, "workload", name, "a name must be at most 64 letters, digits, - and _")
    if name in RESERVED:
        raise bad_value(where, "workload", name, f"is a command of its own (`workload {name}`): choose another name")
    if "phases" in data and "mix" in data:
        raise bad_value(where, f"{key}.mix", data["mix"], "cannot stand beside phases: let a phase use the mix")
    if "mix" in data:
        return Table(name, where, None, mix=_read_mix(key, data, where))
    if "phases" in data:
        return Table(name, where, None, _read_phases(key, data, where))
    values = dict(data)
    if isinstance(values.get("burst"), list):
        values["burst"] = tuple(values["burst"])
    if values.get("burst") == "none":
        values["burst"] = None
    try:
        table = ProfileTable.model_validate(values)
    except ValidationError as error:
        raise from_pydantic(error, where, f"{key}.", settings_of(ProfileTable)) from None
    profile = Profile(name, **table.model_dump())
    _check_together(key, profile, where)
    return Table(name, where, profile)


def _check_together(key: str, profile: Profile, where: str) -> None:
    """What the bounds of the single keys do not say."""
    most = max(profile.publishers, profile.subscribers)
    if profile.topics > most:
        raise bad_value(where, f"{key}.topics", profile.topics, f"must be at most {most}, or some topics have no client at all")
    try:
        limits.check(profile)
    except ConfigError as error:
        raise bad_value(where, f"{key}.{error.key}", error.value, f"{error.allowed}") from None


def _read_mix(key: str, data: Mapping[str, Any], where: str) -> tuple[str, ...]:
    others = [name for name in data if name != "mix"]
    if others:
        raise bad_value(
            where, f"{key}.{others[0]}", data[others[0]], "cannot stand beside mix: each load has a profile of its own"
        )
    names = data["mix"]
    if not isinstance(names, list) or not 1 <= len(names) <= MAX_PARTS or not all(isinstance(name, str) for name in names):
        allowed = f'must be a list of 1 to {MAX_PARTS} steady workloads such as ["telemetry", "bulk"]'
        raise bad_value(where, f"{key}.mix", names, allowed)
    return tuple(names)


def _read_phases(key: str, data: Mapping[str, Any], where: str) -> tuple[PhaseTable, ...]:
    others = [name for name in data if name != "phases"]
    if others:
        raise bad_value(
            where, f"{key}.{others[0]}", data[others[0]], "cannot stand beside phases: each phase has a profile of its own"
        )
    entries = data["phases"]
    allowed = f'must be a list of 1 to {MAX_PHASES} entries such as {{ use = "telemetry", seconds = 40 }}'
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_PHASES:
        raise bad_value(where, f"{key}.phases", entries, allowed)
    phases = []
    for number, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise bad_value(where, f"{key}.phases[{number}]", entry, allowed)
        try:
            phases.append(PhaseTable.model_validate(dict(entry)))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            if first["type"] == "missing":
                raise bad_value(where, f"{key}.phases[{number}]", entry, f"has no {first['loc'][0]}") from None
            raise from_pydantic(error, where, f"{key}.phases[{number}].", settings_of(PhaseTable)) from None
    return tuple(phases)


def resolve(tables: Mapping[str, Table]) -> dict[str, Workload]:
    """Every table as a workload, names of phases looked up among all of them.

    Raises:
        ConfigError: a phase uses a workload that does not exist, or, in the end, itself.
    """
    return {name: _resolve(name, tables, ()) for name in tables}


def _resolve(name: str, tables: Mapping[str, Table], users: tuple[str, ...]) -> Workload:
    table = tables[name]
    if table.made is not None:
        return table.made
    if table.mix:
        return Workload.steady(_mixed(table, tables))
    if table.profile is not None:
        return Workload.steady(table.profile)
    phases: list[Phase] = []
    for number, phase in enumerate(table.phases):
        key = f"workload.{name}.phases[{number}].use"
        if phase.use not in tables:
            raise bad_value(table.where, key, phase.use, f"unknown workload{nearest(phase.use, tables)}")
        if len(users) >= MAX_DEPTH:
            raise bad_value(table.where, key, phase.use, f"phases may use phases at most {MAX_DEPTH} deep")
        if phase.use in (*users, name):
            circle = " → ".join([*users, name, phase.use])
            raise bad_value(table.where, key, phase.use, f"goes round in a circle: {circle}")
        phases += _cut(_resolve(phase.use, tables, (*users, name)), phase.seconds)
        if len(phases) > MAX_PHASES:
            raise _too_many(table)
    return Workload(name, tuple(phases))


def _mixed(table: Table, tables: Mapping[str, Table]) -> Profile:
    """The loads of a mix as one profile."""
    key = f"workload.{table.name}.mix"
    members = []
    for name in table.mix:
        member = tables.get(name)
        if member is None:
            raise bad_value(table.where, key, name, f"unknown workload{nearest(name, tables)}")
        if member.profile is None:
            raise bad_value(table.where, key, name, "has phases, is a mix, or was recorded: a mix is made of steady workloads")
        members.append(member.profile)
    mix = Profile.mix(table.name, members)
    try:
        limits.check(mix, table.where)
    except ConfigError as error:
        raise bad_value(table.where, key, list(table.mix), f"{error.key} = {error.value!r}: {error.allowed}") from None
    return mix


def _cut(workload: Workload, seconds: float) -> Iterable[Phase]:
    """`workload`, from its beginning, for `seconds`."""
    if len(workload.phases) == 1:
        return [Phase(workload.phases[0].profile, seconds)]
    phases: list[Phase] = []
    while seconds > 1e-9 and len(phases) <= MAX_PHASES:
        for phase in workload.phases:
            phases.append(Phase(phase.profile, min(phase.seconds, seconds)))
            seconds -= phase.seconds
            if seconds <= 1e-9:
                break
    return phases


def _too_many(table: Table) -> ConfigError:
    return ConfigError(
        table.where, f"workload.{table.name}.phases", len(table.phases), f"more than {MAX_PHASES} phases in the end"
    )
