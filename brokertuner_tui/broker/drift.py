"""Whether a broker is still as we left it: its files, the log's word on reloads, and the limits that its CONNACK names.

What the managed and the external broker share. Used by the broker's own thread alone.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from brokertuner_tui.broker.interface import Difference
from brokertuner_tui.broker.log import FileLog
from brokertuner_tui.broker.operator_conf import OperatorConf
from brokertuner_tui.broker.probe import Probe, ProbeError
from brokertuner_tui.broker.service import Log
from brokertuner_tui.broker.verify import wrong_limits
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import NAMES, KnobValues, Value, Version, changed
from brokertuner_tui.mqtt.endpoint import MQTT_5, Endpoint
from brokertuner_tui.mqtt.tls import TlsFileError

_RELOADED = re.compile(rb"^(?:.{1,64}: )?Reloading config\.\r?$", re.MULTILINE)
_LARGEST_FILE = 16 * 2**20
_MOST_LOG = 4 * 2**20
"""Of a log, in one look; what is more is left out."""
_SETTLED_NS = 200_000_000
"""A file that was changed less than this before it was read may change again without another time stamp."""
_ROTATED_S = 10.0
"""logrotate has Mosquitto reload, so that it opens its log anew: a reload so soon after a rotation is that."""
_ASK_S = 1.0


@dataclass(frozen=True, slots=True)
class Content:
    """What a path holds."""

    words: str
    """For the operator: `sha256 1a2b3c4d`, `no file`, `cannot be read: ...`."""
    digest: bytes = b""
    """Empty: there is nothing that could be read."""
    link: str = ""
    """Where it points; empty: it is no link."""

    @classmethod
    def of(cls, data: bytes | None, link: str = "") -> Content:
        """Of these bytes; None for no file."""
        if data is None:
            return cls("no file", link=link)
        digest = hashlib.sha256(data).digest()
        return cls(f"sha256 {digest.hex()[:12]}" + (f" by a link to {link}" if link else ""), digest, link)

    @classmethod
    def at(cls, path: Path) -> Content:
        """What `path` holds now; never raises, and waits for nothing (a pipe is not opened)."""
        link = ""
        try:
            if path.is_symlink():
                link = os.readlink(path)
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return cls(f"a link to {link}, which is not there", link=link) if link else cls.of(None)
        except OSError as error:
            return cls(f"cannot be read: {error.strerror}", link=link)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return cls("no plain file", link=link)
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(_LARGEST_FILE + 1)
        except OSError as error:
            return cls(f"cannot be read: {error.strerror}", link=link)
        finally:
            os.close(descriptor)
        return cls("too large for a config", link=link) if len(data) > _LARGEST_FILE else cls.of(data, link)


class FileWatch:
    """One file: what it may hold, and whether it does. Time stamps first, bytes only where those have moved."""

    def __init__(self, path: Path, content: Content | None = None) -> None:
        self.path = path
        self._ours: tuple[Content, ...] = (Content.at(path) if content is None else content,)
        self._seen: tuple[object, Content] | None = None

    @property
    def was_link(self) -> bool:
        """Whether it was a link when we left it."""
        return bool(self._ours[0].link)

    def writing(self, data: bytes | None) -> None:
        """From now on this is ours, too: said before it is written, so that no moment and no failure makes it theirs.

        Nor do several: what was there before the first of them is ours until one has been written.
        """
        now, *unwritten = self._ours
        content = Content.of(data, now.link)
        self._ours = (now, *(other for other in unwritten if other != content), content)
        self._seen = None

    def wrote(self) -> None:
        """What was announced is what counts from now on."""
        self._ours = self._ours[-1:]

    def make_way(self) -> None:
        """Takes away a link that somebody put in its place: what it leads to is not ours to write.

        Raises:
            OSError: that cannot be done.
        """
        if not self.was_link and self.path.is_symlink():
            self.path.unlink()

    def difference(self, *, closely: bool = False) -> Difference | None:
        """None: it is as we left it, whatever its time stamps say. `closely`: read it in any case."""
        mark = _mark(self.path)
        if closely or self._seen is None or mark is None or self._seen[0] != mark:
            content = Content.at(self.path)
            self._seen = (mark, content) if mark is not None and _is_settled(mark) else None
        else:
            content = self._seen[1]
        if any(content == ours for ours in self._ours):
            return None
        theirs = content.words
        if bool(content.link) != self.was_link and "link" not in theirs:
            theirs = f"{theirs} (no link any more)"
        return Difference("file", str(self.path), self._ours[0].words, theirs)


class ConfigWatch:
    """The main config, what it includes, and the knob file.

    What they hold when this is made is what counts.

    Args:
        read: reads the config as it is on the disk, the knob file as any other.
        conf: what it says now, if that was read otherwise.

    Raises:
        TunerError: the config cannot be read.
    """

    def __init__(self, read: Callable[[], OperatorConf], knob_file: Path, conf: OperatorConf | None = None) -> None:
        self._read = read
        self.knob_file = FileWatch(knob_file)
        conf = conf or read()
        ours = os.path.realpath(knob_file)
        self._folders = conf.include_folders
        self._others = {path: FileWatch(path) for path in conf.files if os.path.realpath(path) != ours}

    def renewed(self, conf: OperatorConf | None = None) -> ConfigWatch:
        """Another one, for what they hold now.

        Raises:
            TunerError: the config cannot be read.
        """
        return ConfigWatch(self._read, self.knob_file.path, conf)

    def paths(self) -> list[Path]:
        """Every file that is there, and the folders that are included."""
        knob_file = [self.knob_file.path] if self.knob_file.path.exists() else []
        return [*self._others, *self._folders, *knob_file]

    def on_disk(self, version: Version) -> dict[str, Value]:
        """What a restart would bring into force.

        Raises:
            TunerError: the config cannot be read.
        """
        return self._read().baseline(version)

    def files(self) -> list[Difference]:
        """The files that are not as we left them, new ones among them."""
        known = {*self._others, self.knob_file.path}
        new = [path for folder in self._folders for path in _included(folder) if path not in known]
        watches = [self.knob_file, *self._others.values(), *(FileWatch(path, Content.of(None)) for path in new)]
        return [found for watch in watches if (found := watch.difference()) is not None]

    def differences(self, in_force: KnobValues, version: Version) -> list[Difference]:
        """The knobs whose values on the disk are others now, then the files; empty where no file has changed."""
        if not (files := self.files()):
            return []
        try:
            theirs = self.on_disk(version)
        except TunerError as error:
            main = next(iter(self._others), self.knob_file.path)
            return [*files, Difference("file", str(main), "can be read", str(error))]
        return [*knob_differences(in_force, theirs), *files]


class ReloadWatch:
    """Counts the reloads that a log tells of and that were not ours. A log that was rotated or cut is read from its start."""

    def __init__(self, log: Log | None, *, every_s: float = 4.0) -> None:
        self._log, self._every_s = log, every_s
        self._ours = self.theirs = 0
        self._inode, self._offset = 0, 0
        self._rotated_at = self._looked_at = float("-inf")
        self.read_until = 0.0
        """What was changed before this moment (time.time()) was read by a reload of somebody else's; 0: there was none."""
        self._last_look = time.time()
        self.settle()

    def settle(self) -> None:
        """What was said until now is of no interest."""
        self._ours = self.theirs = 0
        self.read_until = 0.0
        if isinstance(self._log, FileLog):
            told = _stat(self._log.path)
            self._inode, self._offset = (told.st_ino, told.st_size) if told else (0, 0)
        elif self._log is not None:
            self._offset = self._log.end()
            self._looked_at = time.monotonic()

    def reloading(self) -> None:
        """The next one will be ours: said before the signal."""
        self._ours += 1

    def reloaded(self) -> None:
        """Ours has been seen in the log."""
        if isinstance(self._log, FileLog):
            self.look()
            self._ours = 0
        else:
            self.settle()

    def look(self) -> None:
        """Reads on. A log that takes a command to read is read every few seconds."""
        count = self._in_file(self._log) if isinstance(self._log, FileLog) else self._by_command()
        if count is None:
            return
        before, self._last_look = self._last_look, time.time()
        ours = min(count, self._ours)
        self._ours -= ours
        if count > ours:
            self.read_until = before  # it came after the look before this one
        if time.monotonic() - self._rotated_at > _ROTATED_S:
            self.theirs += count - ours

    def _in_file(self, log: FileLog) -> int:
        told = _stat(log.path)
        if told is None:
            return 0
        if told.st_ino != self._inode or told.st_size < self._offset:
            self._inode, self._offset, self._rotated_at = told.st_ino, 0, time.monotonic()
        if told.st_size == self._offset:
            return 0
        self._offset = max(self._offset, told.st_size - _MOST_LOG)
        try:
            with open(log.path, "rb") as file:
                file.seek(self._offset)
                data = file.read(_MOST_LOG)
        except OSError:
            return 0
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return len(_RELOADED.findall(whole))

    def _by_command(self) -> int | None:
        """None: not now."""
        if self._log is None or time.monotonic() - self._looked_at < self._every_s:
            return None
        self._looked_at = time.monotonic()
        since, self._offset = self._offset, self._log.end()
        if self._offset < since:
            self._rotated_at = time.monotonic()
            return 0
        return len(_RELOADED.findall(self._log.since(since).encode())) if self._offset > since else 0


class DriftWatch:
    """All of it, for one broker that was brought into force.

    Args:
        read: see `ConfigWatch`.

    Raises:
        TunerError: the config cannot be read.
    """

    def __init__(self, read: Callable[[], OperatorConf], knob_file: Path, log: Log | None) -> None:
        self.config = ConfigWatch(read, knob_file)
        self.reloads = ReloadWatch(log)
        self.asked: tuple[Difference, ...] = ()
        """What the broker itself said last against what is in force."""

    def verified(self, how: str) -> None:
        """Knobs were verified to be in force after a `start`, a `restart`, a `reload`, or as they were (`none`)."""
        self.asked = ()
        if how == "reload":
            self.reloads.reloaded()
        elif how != "none":
            self.reloads.settle()

    def settle(self, config: ConfigWatch) -> None:
        """It is as it shall be, with what `config` has seen."""
        self.config, self.asked = config, ()
        self.reloads.settle()

    def has_read(self) -> bool:
        """Whether the broker was reloaded, by somebody else, after all of its config was changed."""
        try:
            return all(path.stat().st_mtime < self.reloads.read_until for path in self.config.paths())
        except OSError:
            return False

    def may_write(self) -> tuple[Difference, ...]:
        """Empty: the knob file is what we left there, by its bytes."""
        found = self.config.knob_file.difference(closely=True)
        return (found,) if found else ()

    def differences(self, in_force: KnobValues, version: Version) -> tuple[Difference, ...]:
        """How it is not as we left it."""
        self.reloads.look()
        found = self.config.differences(in_force, version)
        known = {one.name for one in found}
        found += [one for one in self.asked if one.name not in known]
        if self.reloads.theirs:
            times = "once" if self.reloads.theirs == 1 else f"{self.reloads.theirs} times"
            found.append(Difference("reload", "", "not reloaded since", f"reloaded {times} by somebody else"))
        return tuple(found)

    def ask(self, endpoint: Endpoint, in_force: KnobValues) -> tuple[Difference, ...]:
        """Asks the broker for its limits; what it says counts until something is verified again."""
        found = ask_limits(endpoint, in_force)
        if found is not None:
            self.asked = found
        return self.asked


def ask_limits(endpoint: Endpoint, in_force: KnobValues) -> tuple[Difference, ...] | None:
    """What the limits in an MQTT 5 CONNACK contradict of `in_force`; None: nobody answers, or not in MQTT 5."""
    if endpoint.protocol != MQTT_5:
        return None
    try:
        with Probe(endpoint, time.monotonic() + _ASK_S) as probe:
            limits = probe.hello()
    except (ProbeError, TlsFileError):
        return None
    return tuple(
        Difference("knob", wrong.knob, shown(in_force[wrong.knob]), "unlimited" if wrong.is_ is None else str(wrong.is_))
        for wrong in wrong_limits(limits, in_force)
    )


def knob_differences(ours: KnobValues, theirs: KnobValues) -> tuple[Difference, ...]:
    """The knobs that have other values, in catalogue order."""
    return tuple(Difference("knob", name, shown(ours[name]), shown(theirs[name])) for name in changed(ours, theirs))


def shown(value: Value) -> str:
    """As Mosquitto's config has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_proposal(differences: tuple[Difference, ...], ours: KnobValues, proposal: KnobValues) -> bool:
    """Whether the knobs were changed to exactly what was proposed: a person has applied it by hand."""
    theirs = {one.name: one.theirs for one in differences if one.what == "knob"}
    wanted = {name: shown(proposal[name]) for name in NAMES if proposal[name] != ours[name]}
    return bool(wanted) and theirs == wanted


def _included(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in os.listdir(folder) if name.endswith(".conf") and len(name) > 5]
    except OSError:
        return []


def _stat(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _mark(path: Path) -> tuple[tuple[int, ...], ...] | None:
    """The time stamps of a path, and of what it leads to; None: there is none."""
    try:
        told = [os.lstat(path), os.stat(path)]
    except OSError:
        return None
    return tuple((one.st_dev, one.st_ino, one.st_mode, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for one in told)


def _is_settled(mark: tuple[tuple[int, ...], ...]) -> bool:
    return all(0 <= one[-1] < time.time_ns() - _SETTLED_NS for one in mark)
