"""A broker that commands of the operator's restart, reload and ask: a container, another init system, a script."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from brokertuner_tui.broker.log import FileLog
from brokertuner_tui.broker.operator_conf import USUAL_MAIN, OperatorConf
from brokertuner_tui.broker.service import Log, Look, Problem, ServiceFailed, run_command

_ASK_S = 10.0
_SINCE = "{since}"


class CommandService:
    """See `Service`. Every command is a program with its arguments; an empty one is not there.

    Args:
        pid: prints the PID.
        fixed_pid: the PID, as long as that process lives.
        seen_as: what the broker calls the folder of `main_config`.
    """

    def __init__(
        self,
        *,
        restart: Sequence[str],
        reload: Sequence[str] = (),
        status: Sequence[str] = (),
        log: Sequence[str] = (),
        pid: Sequence[str] = (),
        fixed_pid: int | None = None,
        main_config: Path | None = None,
        seen_as: Path | None = None,
    ) -> None:
        self._restart, self._reload, self._status = tuple(restart), tuple(reload), tuple(status)
        self._log, self._pid_command, self._fixed_pid = tuple(log), tuple(pid), fixed_pid
        self._main_config = main_config or USUAL_MAIN
        self._seen_as = seen_as

    @property
    def name(self) -> str:
        """The restart command."""
        return " ".join(self._restart)

    def main_config(self) -> Path:
        """What was set, else Debian's."""
        return self._main_config

    def path_here(self, path: PurePosixPath) -> Path:
        """Below the folder of the main config, where the broker has another name for that."""
        if self._seen_as is not None and path.is_relative_to(self._seen_as):
            return self._main_config.parent / path.relative_to(self._seen_as)
        return Path("/") / path

    def user(self) -> str | None:
        """Not known."""
        return None

    def program(self) -> Path | None:
        """Not known."""
        return None

    def can_reload(self) -> bool:
        """Whether there is a command for it."""
        return bool(self._reload)

    def problems(self) -> list[Problem]:
        """No restart command, a program that is not there, a broker that does not run."""
        if not self._restart:
            return [
                Problem("there is no command that restarts the broker", 'restart = ["PROGRAM", "ARGUMENT"] in [broker.command]')
            ]
        found = []
        commands = {"restart": self._restart, "reload": self._reload, "status": self._status, "log": self._log}
        for name, argv in (commands | {"pid": self._pid_command}).items():
            if argv and (why := _not_a_program(argv[0])):
                found.append(Problem(f"broker.command.{name}: {argv[0]} {why}", f"the right path in broker.command.{name}"))
        if not found:
            try:
                if not self.look().active:
                    found.append(Problem("the broker does not run", " ".join(self._restart)))
            except ServiceFailed as error:
                found.append(Problem(str(error), "the right command in [broker.command]"))
        return found

    def look(self) -> Look:
        """The status command's word, else whether the process lives; where neither is known: it runs."""
        pid = self._pid()
        ended = ""
        if self._status:
            ran = run_command(self._status, _ASK_S)
            active = ran.code == 0
            ended = "" if active else ran.said
        else:
            active = pid is not None or not (self._pid_command or self._fixed_pid)
        return Look(active=active, pid=pid if active else None, ended=ended)

    def reload(self, within_s: float) -> None:
        """Runs the command."""
        self._run(self._reload, within_s)

    def restart(self, within_s: float, tell: Callable[[str], None]) -> None:
        """Runs the command."""
        del tell  # nobody limits how often
        self._fixed_pid = None  # of a process that ends now
        self._run(self._restart, within_s)

    def log(self, conf: OperatorConf) -> Log | None:
        """The log command's output; else the file that the config names, if it is to be found here."""
        if self._log:
            return CommandLog(self._log)
        files = conf.log_files if "file" in conf.log_to else ()
        return next((log for path in files if (log := FileLog(path)).readable()), None)

    def last_words(self, mark: int) -> str:
        """What the log command has with `{since}`; nothing else is known."""
        return CommandLog(self._log).since(mark) if _has_since(self._log) else ""

    def _pid(self) -> int | None:
        if self._fixed_pid is not None:
            return self._fixed_pid if os.path.exists(f"/proc/{self._fixed_pid}") else None
        if not self._pid_command:
            return None
        ran = run_command(self._pid_command, _ASK_S)
        word = ran.out.strip().partition("\n")[0].strip()
        if ran.code or not re.fullmatch("[0-9]{1,9}", word) or int(word) < 1 or not os.path.exists(f"/proc/{int(word)}"):
            return None
        return int(word)

    @staticmethod
    def _run(argv: Sequence[str], within_s: float) -> None:
        ran = run_command(argv, within_s)
        if ran.code:
            raise ServiceFailed(f"{' '.join(argv)}: exit code {ran.code}{f': {ran.said}' if ran.said else ''}")


class CommandLog:
    """What a command prints. Marks are microseconds since the epoch where it takes `{since}`, else how much there was."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = tuple(argv)

    def end(self) -> int:
        """Now."""
        return time.time_ns() // 1000 if _has_since(self._argv) else len(self._output(0))

    def since(self, offset: int) -> str:
        """What came since the mark."""
        if _has_since(self._argv):
            return self._output(offset)
        output = self._output(0)
        return output[offset:] if len(output) >= offset else output

    def _output(self, since_us: int) -> str:
        moment = f"{since_us // 1_000_000}.{since_us % 1_000_000:06}"
        try:
            ran = run_command([part.replace(_SINCE, moment) for part in self._argv], _ASK_S)
        except ServiceFailed:
            return ""
        return ran.out + ran.err  # `docker logs` keeps the two apart, as Mosquitto wrote them


def _has_since(argv: Sequence[str]) -> bool:
    return any(_SINCE in part for part in argv)


def _not_a_program(name: str) -> str:
    folders = [""] if "/" in name else os.environ.get("PATH", os.defpath).split(os.pathsep)
    paths = [os.path.join(folder, name) for folder in folders]
    if any(os.path.isfile(path) and os.access(path, os.X_OK) for path in paths):
        return ""
    return "cannot be executed" if any(os.path.isfile(path) for path in paths) else "is not there"
