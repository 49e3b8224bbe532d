"""What the operator's `mosquitto.conf` says, read as Mosquitto reads it (`conf.c`, the same in 2.0.11, 2.0.21 and 2.1.2).

Words are divided by spaces alone; numbers go through `atoi`, so that `abc` is 0 (2.1 refuses it, and does not start); of a
line that is repeated the last one counts; `include_dir` counts in the main file only and reads `*.conf` right there: a line
below it wins over the folder's.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import BY_NAME, INT32_MAX, Value, Version, defaults
from brokertuner_tui.knobs.validation import KnobError, check

USUAL_MAIN = Path("/etc/mosquitto/mosquitto.conf")
_LARGEST_FILE = 16 * 2**20
_NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]{1,4000})")
_WIDE = "memory_limit"  # the one knob that Mosquitto reads as 64 bits
_TLS_WORDS = frozenset({"certfile", "keyfile", "psk_hint"})
_LOOPBACK = ("127.0.0.1", "localhost", "::1", "")
_ANY = ("0.0.0.0", "::")


class OperatorConfError(TunerError):
    """The operator's config cannot be read, or says something that the tuner cannot go back to; nothing was touched."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a config file."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(slots=True)
class Listener:
    """Where the broker accepts clients. `host`: the address that it is bound to, empty for all."""

    port: int
    host: str
    websockets: bool = False
    tls: bool = False
    local_only: bool = False
    """There because nothing else is: Mosquitto 2 then listens on the loopback interface alone."""

    @property
    def reach(self) -> str:
        """The address at which a client on this machine finds it."""
        if self.host in _ANY or self.host in _LOOPBACK:
            return "::1" if self.host == "::1" else "127.0.0.1"
        return self.host


@dataclass(frozen=True, slots=True)
class OperatorConf:
    """What counts of the config. Paths are as this process sees them."""

    main: Path
    files: tuple[Path, ...]
    """In the order in which they are read; the knob file of ours too, if it is among them."""
    knobs: Mapping[str, Value]
    """What the operator set, our own file left out."""
    after_ours: Mapping[str, Place]
    """Knobs that are set below our file, and win over it."""
    listeners: tuple[Listener, ...]
    include_folders: tuple[Path, ...]
    log_files: tuple[Path, ...] = ()
    log_to: frozenset[str] = frozenset()
    """`file`, `stderr`, `stdout`, `syslog`, `none`, ...; empty: not said."""
    log_types: frozenset[str] = frozenset()
    pid_file: Path | None = None
    sys_interval_s: int = 10
    user: str = "mosquitto"
    """Whom Mosquitto becomes when it is started as root."""

    def baseline(self, version: Version) -> dict[str, Value]:
        """What is in force without us: the defaults of `version`, and the operator's lines over them."""
        return {**defaults(version), **self.knobs}

    def includes(self, file: Path) -> bool:
        """Whether Mosquitto would read `file`, if it were there."""
        here = os.path.realpath(file.parent)
        return (
            file.name.endswith(".conf")
            and len(file.name) > 5
            and any(os.path.realpath(f) == here for f in self.include_folders)
        )

    def tells_of_reloads(self) -> bool:
        """Whether `Reloading config.` (of the type information) goes to the log."""
        return not self.log_types or not self.log_types.isdisjoint({"information", "all"})

    def listener_for(self, *, websockets: bool, tls: bool) -> Listener | None:
        """The one to use, if there is one of this kind; one that this machine reaches without a network comes first."""
        fitting = [one for one in self.listeners if one.websockets == websockets and one.tls == tls]
        fitting.sort(key=lambda one: one.reach not in _LOOPBACK)
        return fitting[0] if fitting else None


def _same_path(path: PurePosixPath) -> Path:
    return Path(path)


@dataclass(slots=True)
class _Reader:
    ours: Path | None
    original: bytes | None
    here: Callable[[PurePosixPath], Path]
    files: list[Path] = field(default_factory=list)
    said: dict[str, tuple[str, Place]] = field(default_factory=dict)
    """The last value of each word that is read as text, and where it stands."""
    knobs: dict[str, tuple[str, Place]] = field(default_factory=dict)
    after: dict[str, Place] = field(default_factory=dict)
    listeners: list[Listener] = field(default_factory=list)
    usual: Listener = field(default_factory=lambda: Listener(1883, ""))
    usual_is_meant: bool = False
    folders: list[Path] = field(default_factory=list)
    log_files: list[Path] = field(default_factory=list)
    log_to: set[str] = field(default_factory=set)
    log_types: set[str] = field(default_factory=set)
    past_ours: bool = False

    def read(self, path: Path, *, main: bool) -> None:
        is_ours = self.ours is not None and os.path.realpath(path) == os.path.realpath(self.ours)
        self.files.append(path)
        content = (self.original or b"") if is_ours else _content(path)
        for number, line in enumerate(content.split(b"\n"), 1):
            text = line.partition(b"\0")[0].decode(errors="surrogateescape").rstrip("\r\n")
            if not text or text.startswith(("#", "\r")):
                continue
            word, _, rest = text.lstrip(" ").partition(" ")
            self.take(word, rest.strip(" \t"), Place(path, number), main=main)
        self.past_ours = self.past_ours or is_ours

    def take(self, word: str, rest: str, place: Place, *, main: bool) -> None:
        first = rest.partition(" ")[0]
        if word in BY_NAME:
            self.knobs[word] = (first, place)
            if self.past_ours:
                self.after[word] = place
        elif word == "include_dir" and main and rest:
            self.include(self.here(PurePosixPath(rest)))
        elif word == "listener":
            self.listeners.append(Listener(_atoi(first), rest.partition(" ")[2].strip()))
        elif word in ("port", "bind_address"):
            self.usual_is_meant = True
            self.usual = Listener(_atoi(first), self.usual.host) if word == "port" else Listener(self.usual.port, rest)
        elif word == "protocol":
            self.current().websockets = first == "websockets"
        elif word in _TLS_WORDS:
            self.current().tls = True
        elif word == "log_dest":
            self.log_to.add(first)
            if first == "file":
                self.log_files.append(self.here(PurePosixPath(rest.partition(" ")[2].strip())))
        elif word == "log_type":
            self.log_types.add(first)
        else:
            self.said[word] = (rest, place)

    def current(self) -> Listener:
        """What words about a listener are about: the last `listener`, else the one that needs no such line."""
        return self.listeners[-1] if self.listeners else self.usual

    def include(self, folder: Path) -> None:
        self.folders.append(folder)
        try:
            names = [entry for entry in os.listdir(folder) if entry.endswith(".conf") and len(entry) > 5]
        except OSError as error:
            raise OperatorConfError(f"{folder}, which the config includes, cannot be read: {error.strerror}") from None
        ours = self.ours
        at_ours = ours is not None and os.path.realpath(folder) == os.path.realpath(ours.parent)
        if at_ours and ours is not None and ours.name not in names:
            names.append(ours.name)  # not there yet: what follows would come after it
        for name in sorted(names, key=_reading_order):
            self.read(folder / name, main=False)

    def all_listeners(self) -> tuple[Listener, ...]:
        if not self.listeners and not self.usual_is_meant:
            self.usual.local_only = True
            return (self.usual,)
        usual = [self.usual] if self.usual_is_meant else []
        return tuple(one for one in (*usual, *self.listeners) if 0 < one.port <= 65_535)


def read_operator_conf(
    main: Path,
    ours: Path | None = None,
    *,
    original: bytes | None = None,
    here: Callable[[PurePosixPath], Path] = _same_path,
) -> OperatorConf:
    """Reads the config at `main` with what it includes.

    Args:
        ours: the tuner's knob file: its lines are not the operator's. It need not be there. None: every file is read as it is.
        original: what the operator had in the place of `ours`, if anything.
        here: where this process finds a path that the config names (a container has its own).

    Raises:
        OperatorConfError: a file cannot be read, or a knob's value is not one that the tuner could write again.
    """
    reader = _Reader(ours, original, here)
    try:
        reader.read(main, main=True)
        knobs = {name: _value(name, text, place) for name, (text, place) in reader.knobs.items()}
        pid_file = reader.said.get("pid_file")
        return OperatorConf(
            main=main,
            files=tuple(reader.files),
            knobs=knobs,
            after_ours=dict(reader.after),
            listeners=reader.all_listeners(),
            include_folders=tuple(reader.folders),
            log_files=tuple(reader.log_files),
            log_to=frozenset(reader.log_to),
            log_types=frozenset(reader.log_types),
            pid_file=here(PurePosixPath(pid_file[0])) if pid_file and pid_file[0] else None,
            sys_interval_s=_atoi(reader.said["sys_interval"][0]) if "sys_interval" in reader.said else 10,
            user=reader.said["user"][0] if reader.said.get("user", ("",))[0] else "mosquitto",
        )
    except ValueError as error:  # of the system's, for paths that no file can have
        raise OperatorConfError(f"{main}: names a path that cannot be: {error}") from None


def _content(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would keep us waiting
            raise OperatorConfError(f"{path}: is no plain file")
        with open(path, "rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise OperatorConfError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > _LARGEST_FILE:
        raise OperatorConfError(f"{path}: is larger than {_LARGEST_FILE} bytes: not a config")
    return data


def _reading_order(name: str) -> list[tuple[bytes, bytes]]:
    raw = os.fsencode(name)
    return [(raw[at : at + 1].upper(), raw[at : at + 1]) for at in range(len(raw))]


def _atoi(text: str, bits: int = 32) -> int:
    """C's: leading digits, else 0; more than fits wraps (32 bits, as glibc does) or stops at the largest (64 bits)."""
    found = _NUMBER.match(text)
    if not found:
        return 0
    wide = max(-(2**63), min(2**63 - 1, int(found[1])))
    if bits == 64:
        return wide
    return (wide + 2**31) % 2**32 - 2**31


def _value(name: str, text: str, place: Place) -> Value:
    """A knob's value as the broker takes it.

    Raises:
        OperatorConfError: the broker would refuse it, or the tuner cannot write it.
    """
    knob = BY_NAME[name]
    if knob.type == "bool":
        if text not in ("true", "1", "false", "0"):
            raise OperatorConfError(f"{place}: {name} {_shown(text)}: Mosquitto takes true or false only")
        return text in ("true", "1")
    number = _atoi(text, 64 if name == _WIDE else 32)
    if name == "max_packet_size":
        number = min(number, knob.high)  # beyond what MQTT can say there is nothing to limit
    elif number < 0 and name != _WIDE and 0 in knob.special:
        number = 0
    if number > INT32_MAX:
        raise OperatorConfError(f"{place}: {name} {number}: the tuner goes up to {INT32_MAX}; set it to that or less, or to 0")
    try:
        return check(name, number)
    except KnobError as error:
        raise OperatorConfError(f"{place}: {name} {_shown(text)}: {error.reason}") from None


def _shown(text: str) -> str:
    safe = "".join(char if char.isprintable() else "?" for char in text)
    return safe if len(safe) <= 40 else f"{safe[:37]}..."
