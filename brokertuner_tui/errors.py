"""The errors that reach an operator, each with the exit code that a script sees."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process says when it ends."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    CONNECTION = 3
    INTERRUPTED = 130
    TERMINATED = 143


class TunerError(Exception):
    """An operation failed; the message is one clear line (details may follow on further lines)."""

    exit_code = ExitCode.FAILED
    passes = False
    """Whether it may pass by itself (a connection, a deadline, something busy), so that trying again makes sense."""


class UsageError(TunerError):
    """The command line or a value given by the operator is not acceptable; nothing was changed."""

    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """A config or workload file holds something that is not allowed.

    The message names the file (or the flag, or the environment variable), the key, the value and what is allowed.
    """

    def __init__(self, where: str, key: str, value: object, allowed: str) -> None:
        self.where, self.key, self.value, self.allowed = where, key, value, allowed
        super().__init__(f"{where}: {key} = {value!r}: {allowed}")


class DiskFailed(TunerError):
    """The disk could not write what it was given, or make it last: nothing that depends on it may be acknowledged any more.

    Never to be repeated: after a failed fsync the system may have dropped the data, and the next one succeeds without them.
    """


class ConnectionFailed(TunerError):
    """A broker could not be reached, or did not answer in time."""

    exit_code = ExitCode.CONNECTION
    passes = True
