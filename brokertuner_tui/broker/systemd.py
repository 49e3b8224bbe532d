"""A broker that a unit of systemd runs: asked about with `systemctl show`, changed with `systemctl reload` and `restart`."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from brokertuner_tui.broker.log import FileLog
from brokertuner_tui.broker.operator_conf import USUAL_MAIN, OperatorConf
from brokertuner_tui.broker.service import Log, Look, Problem, Ran, ServiceFailed, run_command

_ASK_S = 10.0
_SHOWN = (
    "LoadState,ActiveState,SubState,Result,MainPID,NRestarts,Job,User,CanReload,ExecMainCode,ExecMainStatus,ExecStart,"
    "StartLimitBurst,StartLimitIntervalUSec"
)
# With this mode nothing but a start is possible: systemd says so, but only to those whom it would have obeyed.
_HARMLESS_MODE = "--job-mode=isolate"
_WOULD_OBEY = "Isolate is only valid for start"
_REFUSED = re.compile(r"authentication required|access denied|not permitted|permission denied", re.IGNORECASE)
_SPAN = re.compile(r"([0-9]+\.?[0-9]*)(us|ms|s|min|h|d|w|month|y)")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800, "month": 2629800, "y": 31557600}
_ASKS_FOR_RIGHTS = ("sudo", "doas")


class SystemdService:
    """See `Service`.

    Args:
        unit: `mosquitto.service`.
        systemctl: the program, with what has to stand before it.
        pid: the broker's, as long as that process lives; None: the unit's.
        main_config: None: what the unit's command line names.
    """

    def __init__(
        self,
        unit: str,
        systemctl: Sequence[str] = ("systemctl",),
        *,
        pid: int | None = None,
        main_config: Path | None = None,
    ) -> None:
        self._unit = _whole_name(unit)
        self._systemctl = tuple(systemctl)
        self._by_sudo = os.path.basename(self._systemctl[0]) in _ASKS_FOR_RIGHTS
        # Reading takes no rights, and a rule for sudo is only for what does.
        self._read = ("systemctl",) if self._by_sudo else self._systemctl
        self._journal = tuple("journalctl" if os.path.basename(part) == "systemctl" else part for part in self._read)
        self._pid = pid
        self._main_config = main_config
        self._starts: deque[float] = deque(maxlen=1000)
        """When the unit was started, as far as we know; time.monotonic()."""
        self._own_restarts: int | None = None
        """The unit's count of restarts that were systemd's doing."""

    @property
    def name(self) -> str:
        """The unit's."""
        return self._unit

    def main_config(self) -> Path:
        """What was set, else what the unit's command line names, else Debian's."""
        if self._main_config is not None:
            return self._main_config
        words = self._command_line()
        for at, word in enumerate(words[:-1]):
            if word in ("-c", "--config-file"):
                return Path(words[at + 1])
        return USUAL_MAIN

    def path_here(self, path: PurePosixPath) -> Path:
        """The same: a unit sees what we see (its working folder is the root)."""
        return Path("/") / path

    def user(self) -> str | None:
        """The unit's `User=`."""
        return self._show().get("User") or None

    def program(self) -> Path | None:
        """What the unit runs, if its name says that it is Mosquitto."""
        words = self._command_line()
        return Path(words[0]) if words and "mosquitto" in os.path.basename(words[0]) else None

    def can_reload(self) -> bool:
        """Whether the unit has an `ExecReload=`."""
        return self._show().get("CanReload") == "yes"

    def problems(self) -> list[Problem]:
        """No such unit, not running, no right to reload and restart it."""
        try:
            shown = self._show()
        except ServiceFailed as error:
            return [Problem(f"systemd cannot be asked: {error}", 'broker.kind = "command", where there is no systemd')]
        unit, state = self._unit, shown.get("LoadState", "")
        if state != "loaded":
            what = f"there is no unit {unit}" if state == "not-found" else f"the unit {unit} is {state}"
            mend = (
                "systemctl list-unit-files '*mosq*', and broker.unit"
                if state == "not-found"
                else f"sudo systemctl unmask {unit}"
            )
            return [Problem(what, mend)]
        found = []
        if shown.get("ActiveState") not in ("active", "reloading"):
            start = f"sudo systemctl start {unit}"
            if _given_up(shown):
                start = f"sudo systemctl reset-failed {unit} && {start}"
            found.append(Problem(f"{unit} does not run ({_how(shown) or shown.get('ActiveState')})", start, passes=True))
        found += [problem for verb in ("reload", "restart") if (problem := self._right_to(verb)) is not None]
        return found

    def look(self) -> Look:
        """From the unit's properties."""
        shown = self._show()
        state, sub = shown.get("ActiveState"), shown.get("SubState")
        pid = self._pid if self._pid is not None and os.path.exists(f"/proc/{self._pid}") else _count(shown, "MainPID") or None
        has_job = shown.get("Job", "") not in ("", "0")
        down = state in ("inactive", "failed", "deactivating") and not has_job
        return Look(
            active=state in ("active", "reloading") and pid is not None,
            pid=pid,
            ended=_how(shown),
            stopped_on_purpose=down and state != "failed" and shown.get("Result") == "success",
            coming_back=has_job or state == "activating" or sub == "auto-restart",
        )

    def reload(self, within_s: float) -> None:
        """`systemctl reload`."""
        self._change("reload", within_s)

    def restart(self, within_s: float, tell: Callable[[str], None]) -> None:
        """`systemctl restart`, never so often that systemd would refuse it."""
        shown = self._show()
        burst, interval_s = int(shown.get("StartLimitBurst") or 0), seconds(shown.get("StartLimitIntervalUSec", ""))
        if burst > 0 and interval_s > 0:
            if _given_up(shown):
                self._leave_failed(interval_s, tell)
            self._await_room(max(1, burst - 1), interval_s, tell)
        self._pid = None  # of a process that ends now
        self._starts.append(time.monotonic())
        self._change("restart", within_s)

    def log(self, conf: OperatorConf) -> Log | None:
        """The file that the config names; else the journal, where this user may read it."""
        if "file" in conf.log_to:
            return next((log for path in conf.log_files if (log := FileLog(path)).readable()), None)
        if conf.log_to and conf.log_to.isdisjoint({"stderr", "stdout", "syslog"}):
            return None
        journal = JournalLog(self._unit, self._journal)
        return journal if journal.readable() else None

    def last_words(self, mark: int) -> str:
        """The journal: what Mosquitto says before it has read where to log to goes there."""
        return JournalLog(self._unit, self._journal).since(mark)

    def _show(self) -> dict[str, str]:
        ran = run_command([*self._read, "show", self._unit, f"--property={_SHOWN}"], _ASK_S)
        if ran.code:
            raise ServiceFailed(f"systemctl show {self._unit}: {ran.said}")
        shown = dict(line.partition("=")[::2] for line in ran.out.splitlines() if "=" in line)
        own = _count(shown, "NRestarts")
        if self._own_restarts is not None and own > self._own_restarts:
            self._starts.extend([time.monotonic()] * min(own - self._own_restarts, 100))
        self._own_restarts = own
        return shown

    def _command_line(self) -> list[str]:
        found = re.search(r"argv\[\]=(.*?) ; ", self._show().get("ExecStart", ""))
        try:
            return shlex.split(found[1]) if found else []
        except ValueError:
            return found[1].split() if found else []

    def _right_to(self, verb: str) -> Problem | None:
        """Asks without doing anything."""
        if self._by_sudo:
            ran = run_command([self._systemctl[0], "-n", "-l", self._systemctl[-1], verb, self._unit], _ASK_S)
            allowed, refused = ran.code == 0, True
        else:
            ran = run_command([*self._systemctl, "--no-ask-password", _HARMLESS_MODE, verb, self._unit], _ASK_S)
            allowed, refused = _WOULD_OBEY in ran.said, bool(_REFUSED.search(ran.said))
        if allowed:
            return None
        what = f"this user may not {verb} {self._unit}"
        if not refused:
            what = f"whether this user may {verb} {self._unit} cannot be told: {ran.said}"
        return Problem(what, "the polkit rule that brokertuner-tui doctor --fix shows")

    def _change(self, verb: str, within_s: float) -> None:
        flags = [] if self._by_sudo else ["--no-ask-password"]
        ran = run_command([*self._systemctl, *flags, verb, self._unit], within_s)
        if ran.code:
            raise ServiceFailed(self._why(verb, ran))

    def _why(self, verb: str, ran: Ran) -> str:
        said = f"systemctl {verb} {self._unit}: {ran.said or f'exit code {ran.code}'}"
        if _REFUSED.search(ran.said):
            return f"{said} (the polkit rule that brokertuner-tui doctor --fix shows allows it)"
        shown = self._show()
        if _given_up(shown):
            return f"{said} (it was started too often; sudo systemctl reset-failed {self._unit} lets it start again at once)"
        how = _how(shown)
        return f"{said} (it ended {how})" if how else said

    def _leave_failed(self, interval_s: float, tell: Callable[[str], None]) -> None:
        """Out of `failed` by `start-limit-hit`: at once for those who may, else by waiting."""
        flags = [] if self._by_sudo else ["--no-ask-password"]
        if run_command([*self._systemctl, *flags, "reset-failed", self._unit], _ASK_S).code == 0:
            self._starts.clear()
            return
        _wait(
            interval_s, f"{self._unit} was started too often", f"; sudo systemctl reset-failed {self._unit} ends the wait", tell
        )
        self._starts.clear()

    def _await_room(self, most: int, interval_s: float, tell: Callable[[str], None]) -> None:
        now = time.monotonic()
        while self._starts and now - self._starts[0] > interval_s:
            self._starts.popleft()
        if len(self._starts) >= most:
            left_s = self._starts[-most] + interval_s - now
            _wait(left_s, f"{self._unit} may be started {most + 1} times in {interval_s:g} s", "", tell)


class JournalLog:
    """The unit's lines in the journal. Marks are microseconds since the epoch."""

    def __init__(self, unit: str, journalctl: Sequence[str] = ("journalctl",)) -> None:
        self._argv = (*journalctl, "--unit", unit, "--output=cat", "--quiet", "--no-pager")

    def readable(self) -> bool:
        """Whether this user sees anything of the unit's."""
        try:
            return bool(run_command([*self._argv, "--lines=1"], _ASK_S).out.strip())
        except ServiceFailed:
            return False

    def end(self) -> int:
        """Now."""
        return time.time_ns() // 1000

    def since(self, offset: int) -> str:
        """What came since the mark; nothing where the journal cannot be read."""
        try:
            return run_command([*self._argv, f"--since=@{offset // 1_000_000}.{offset % 1_000_000:06}"], _ASK_S).out
        except ServiceFailed:
            return ""


def polkit_rule(unit: str, user: str) -> str:
    """A rule for /etc/polkit-1/rules.d/ (polkit 0.106 and later): `user` may reload and restart `unit`, and nothing else."""
    unit = _whole_name(unit)
    return f"""\
// Lets {user} reload and restart {unit} (systemctl reload|restart), and nothing else: no stop, no start, no other unit.
// brokertuner-tui needs it to bring knobs into force without being root. Put it in
// /etc/polkit-1/rules.d/50-brokertuner.rules; polkit reads it at once. To take it back, delete that file.
polkit.addRule(function(action, subject) {{
    var verb = action.lookup("verb");
    if (action.id == "org.freedesktop.systemd1.manage-units" &&
        subject.user == {_quoted(user)} &&
        action.lookup("unit") == {_quoted(unit)} &&
        (verb == "reload" || verb == "restart")) {{
        return polkit.Result.YES;
    }}
}});
"""


def seconds(span: str) -> float:
    """systemd's `1min 30s` or `10s`; `infinity` and what is no span count as 0."""
    return sum(float(number) * _SECONDS[unit] for number, unit in _SPAN.findall(span))


def _count(shown: Mapping[str, str], name: str) -> int:
    """A property that is a number; 0 where it is missing, or something else."""
    found = re.fullmatch(r"[0-9]{1,18}", shown.get(name, ""))
    return int(found[0]) if found else 0


def _whole_name(unit: str) -> str:
    return unit if "." in unit else f"{unit}.service"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char for char in escaped if char.isprintable()) + '"'


def _given_up(shown: dict[str, str]) -> bool:
    """Whether systemd starts it no more, because it was started too often."""
    if shown.get("ActiveState") != "failed":
        return False
    # After restarts of its own, systemd leaves in `Result` how the last one ended.
    return shown.get("Result") == "start-limit-hit" or _count(shown, "NRestarts") > 0


def _how(shown: dict[str, str]) -> str:
    """How the main process ended; empty while it runs."""
    if _given_up(shown):
        return "again and again, until systemd gave up (start limit)"
    code, status = shown.get("ExecMainCode", "0"), shown.get("ExecMainStatus", "0")
    if code in ("2", "3"):
        return f"by signal {status}"
    return f"with exit code {status}" if code == "1" else ""


def _wait(left_s: float, why: str, hint: str, tell: Callable[[str], None]) -> None:
    until = time.monotonic() + left_s
    while (left_s := until - time.monotonic()) > 0:
        tell(f"{why}: waiting {left_s:.1f} s{hint}")
        time.sleep(min(left_s, 0.25))
