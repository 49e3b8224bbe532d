"""Knobs are tried on a Mosquitto that nobody uses, before the broker that matters is touched.

From 2.1 on the program checks a config itself (`--test-config`). Before that, and for a `memory_limit`, which that check does
not look at, a scratch broker with these knobs is started on a free loopback port, and killed as soon as it runs.

`--test-config` ends as a broker does: with `persistence` it writes its (empty) database. So what it is given is a copy that
names no file of the real broker's: everything about files, plugins and logs is left out.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

from brokertuner_tui.broker.log import FileLog, errors
from brokertuner_tui.broker.operator_conf import OperatorConf
from brokertuner_tui.broker.ports import free_port
from brokertuner_tui.knobs.catalogue import KnobValues, Value, Version
from brokertuner_tui.knobs.conf import render
from brokertuner_tui.process.child import Child

_log = logging.getLogger(__name__)
TESTS_ITSELF: Version = (2, 1, 0)
MADE = "pre-test"
"""Among the checks of a change: these knobs were tried before it."""
_POLL_S = 0.0003
_RUNNING = re.compile(r"mosquitto version \S+ running")
_PORT_TRIES = 3
_HOST = "127.0.0.1"
_LEFT_OUT = (
    b"include_dir", b"persistence_location", b"persistence_file", b"pid_file", b"log_dest", b"log_type",
    b"plugin", b"global_plugin", b"auth_plugin", b"auth_opt_", b"user",
)  # fmt: skip
"""First words (or their beginnings) of lines that are no business of a test."""


class Refused(Exception):
    """A Mosquitto did not take the knobs: in its own words. Nothing of the real broker was touched."""

    def __init__(self, why: str, log: str = "") -> None:
        self.why, self.log = why, log
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a config, and where it comes from (for the operator)."""

    text: bytes
    origin: str


Surroundings = Callable[[bytes], list[Line]]
"""The whole config with these bytes as its knob file.

Raises OSError where it cannot be read."""


def lines_of(content: bytes, origin: str) -> list[Line]:
    """The lines of a file, without those that are no business of a test."""
    lines = [Line(text, f"{origin}:{number}") for number, text in enumerate(content.split(b"\n"), 1)]
    return [line for line in lines if not line.text.lstrip(b" ").startswith(_LEFT_OUT)]


def as_one_file(conf: OperatorConf, knob_file: Path, knobs: bytes, here: Callable[[PurePosixPath], Path] = Path) -> list[Line]:
    """The operator's config with what it includes, in the order in which Mosquitto reads it, `knobs` in our file's place.

    Raises:
        OSError: a file cannot be read.
    """
    ours = os.path.realpath(knob_file)
    found: list[Line] = []
    for number, text in enumerate(conf.main.read_bytes().split(b"\n"), 1):
        word, _, rest = text.lstrip(b" ").partition(b" ")
        if word != b"include_dir":
            found += [Line(text, f"{conf.main}:{number}")] if not word.startswith(_LEFT_OUT) else []
            continue
        folder = os.path.realpath(here(PurePosixPath(os.fsdecode(rest.strip(b" \t\r")))))
        for path in (path for path in conf.files if path != conf.main and os.path.realpath(path.parent) == folder):
            found += lines_of(knobs if os.path.realpath(path) == ours else path.read_bytes(), str(path))
    return found


class PreTest:
    """Tries knobs. Each line that was accepted once is remembered, so only what is new is tried. Used by one thread.

    Args:
        program: the broker's, on this machine.
        folder: private; made for a try and gone after it. What a killed tuner left there goes when this is made.
        surroundings: for `--test-config`; None: the knobs alone.
    """

    def __init__(
        self, program: Path, version: Version, folder: Path, surroundings: Surroundings | None = None, *, within_s: float = 5.0
    ) -> None:
        self._program, self._version, self._folder, self._within_s = program, version, folder, within_s
        self._surroundings = surroundings
        self._accepted: set[tuple[str, Value]] = set()
        """Lines of knobs: Mosquitto judges each by itself."""
        self._around: set[bytes] = set()
        """What stood around knobs that were accepted."""
        shutil.rmtree(folder, ignore_errors=True)

    def begin(self, knobs: KnobValues) -> Attempt:
        """Starts trying; `Attempt.result` waits for the outcome. Raises nothing."""
        around, lines = b"", lines_of(render(knobs).encode(), "the knobs")
        if self._version >= TESTS_ITSELF and self._surroundings is not None:
            with contextlib.suppress(OSError):  # what we may not read the broker's own check cannot be given
                whole = self._surroundings(render(knobs).encode())
                names = {name.encode() for name in knobs}
                rest = b"\n".join(line.text for line in whole if line.text.partition(b" ")[0] not in names)
                around = hashlib.sha256(rest).digest()
                lines = whole
        new = {name for name, value in knobs.items() if (name, value) not in self._accepted}
        tries: list[Try] = []
        if self._version >= TESTS_ITSELF and (new or around not in self._around):
            tries.append(ConfigTest(self._program, self._folder / "config", lines))
        if new and (self._version < TESTS_ITSELF or ("memory_limit" in new and knobs["memory_limit"])):
            tries.append(Scratch(self._program, self._folder / "scratch", lines_of(render(knobs).encode(), "the knobs")))

        def accepted() -> None:
            self._accepted.update(knobs.items())
            self._around.add(around)

        return Attempt(tries, self._folder, self._within_s, accepted)

    def proven(self, knobs: KnobValues) -> None:
        """The broker itself runs with these."""
        self._accepted.update(knobs.items())


class Attempt:
    """One pre-test under way. A context: nothing is left of it at the end."""

    def __init__(self, tries: list[Try], folder: Path, within_s: float, accepted: Callable[[], object]) -> None:
        self._tries, self._folder, self._accepted = tries, folder, accepted
        self._deadline = time.monotonic() + within_s
        self._impossible = ""
        self._refused: Refused | None = None
        try:
            for one in tries:
                one.start()
        except Refused as error:
            self._refused = error
        except OSError as error:
            self._impossible = error.strerror or str(error)
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def result(self) -> str:
        """Waits; what to say of it among the checks.

        Raises:
            Refused: the knobs were not accepted.
        """
        if self._refused is not None:
            raise self._refused
        for one in self._tries:
            if self._impossible or (why := one.outcome(self._deadline)) is None:
                why = self._impossible or "it did not end in time"
                _log.warning("no pre-test was possible: %s", why)
                return f"no {MADE}: {why}"
            if why:
                raise Refused(why, one.words)
        self._accepted()
        return MADE

    def _end(self) -> None:
        for one in self._tries:
            one.end()
        if self._tries:
            shutil.rmtree(self._folder, ignore_errors=True)


class Try:
    """A Mosquitto that is started on a config of its own."""

    arguments: tuple[str, ...] = ()

    def __init__(self, program: Path, folder: Path, lines: list[Line]) -> None:
        self._program, self._folder, self._lines = program, folder, lines
        self._child: Child | None = None
        self._log = FileLog(folder / "log")

    def start(self) -> None:
        """Starts it.

        Raises:
            Refused: the program cannot be run (any more): the broker would not come back from a restart.
            OSError: the folder cannot be made or written.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = [*self._own(), *self._lines]
        self._lines = lines
        conf = self._folder / "mosquitto.conf"
        with open(os.open(conf, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(b"".join(line.text + b"\n" for line in lines))
        argv: list[str | Path] = [self._program, *self.arguments, "-c", conf]
        try:
            self._child = Child(argv, log_path=self._log.path, cwd=self._folder)
        except (FileNotFoundError, PermissionError) as error:
            raise Refused(f"{self._program} cannot be run: {error.strerror}") from None

    def outcome(self, deadline: float) -> str | None:
        """Empty: accepted; else why not, in the broker's words; None: not known by `deadline` (time.monotonic())."""
        raise NotImplementedError

    @property
    def words(self) -> str:
        """All that it has said."""
        return self._log.since(0).strip()

    def end(self) -> None:
        """Kills it. May be called again."""
        if self._child is not None:
            self._child.stop(0.0)

    def _own(self) -> list[Line]:
        """What keeps it away from everybody else's files."""
        own = [f"persistence_location {self._folder}/", "log_dest stderr"]
        if os.geteuid() == 0:
            own.append("user root")  # else it becomes a user who cannot enter this folder
        return [Line(text.encode(), "the pre-test") for text in own]

    def _why(self, code: int) -> str:
        """Its own words, with the operator's files in place of ours."""
        words = " ".join(errors(self._log.since(0))) or f"it ended with exit code {code}"

        def origin(found: re.Match[str]) -> str:
            number = int(found[1])
            return self._lines[number - 1].origin if 0 < number <= len(self._lines) else "the pre-test"

        why = re.sub(re.escape(str(self._folder / "mosquitto.conf")) + r":(\d+)", origin, words)
        limits = [line.text.split()[-1].decode() for line in self._lines if line.text.startswith(b"memory_limit ")]
        # It says nothing then, or that it is out of memory.
        if not limits or limits[-1] == "0" or ("Error" in why and "memory" not in why):
            return why
        return f"{why}; memory_limit {limits[-1]} may be less than the broker itself needs"


class ConfigTest(Try):
    """`mosquitto --test-config`, from 2.1 on."""

    arguments = ("--test-config",)

    def outcome(self, deadline: float) -> str | None:
        """See `Try`."""
        assert self._child is not None
        code = self._child.wait(max(0.0, deadline - time.monotonic()))
        if code is None:
            return None
        return self._why(code) if code else ""


class Scratch(Try):
    """A broker on a free loopback port; it counts when it says that it runs."""

    def _own(self) -> list[Line]:
        listener = f"listener {free_port(_HOST)} {_HOST}"
        return [Line(listener.encode(), "the pre-test"), *super()._own()]

    def outcome(self, deadline: float) -> str | None:
        """See `Try`. A port that somebody else took in the meantime is no answer: another one is tried."""
        plain = self._lines
        for left in reversed(range(_PORT_TRIES)):
            assert self._child is not None
            while (code := self._child.exit_code()) is None and not _RUNNING.search(self._log.since(0)):
                if time.monotonic() >= deadline:
                    return None
                time.sleep(_POLL_S)
            if code is None:
                return ""
            why = self._why(code)
            if "Address already in use" not in why:
                return why
            if left:
                self._lines = plain[len(self._own()) :]
                self._log.path.unlink(missing_ok=True)
                self.start()
        return None
