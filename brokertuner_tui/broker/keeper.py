"""Keeps a broker up: brings back one that is gone or hangs, at the pace of a back-off, and gives up in the end.

Nothing here waits: `look` does what is due and says how things stand, so that whoever looks can obey somebody in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from brokertuner_tui.broker.interface import Applied, ApplyFailed, Broker, BrokerDrifted, BrokerStopped
from brokertuner_tui.connection.tracker import Linked
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import KnobValues
from brokertuner_tui.process.backoff import Backoff, BackoffPolicy, Care
from brokertuner_tui.process.identity import is_halted

_LOOK_AGAIN_S = 0.3
_CONNECTS_WITHIN_S = 1.0
"""A broker that has just come back counts as answering: whoever listens to its pulse has to connect again first."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a look came to."""

    care: Care
    reason: str = ""
    """Why it was down, or is; one sentence."""
    log: str = ""
    """Its own words, where an attempt failed."""
    applied: Applied | None = None
    """With `back`: how it came back, if that is known."""
    news: bool = False
    """Whether this was not said before."""


@dataclass(frozen=True, slots=True)
class Hands:
    """What is done about it. Raise TunerError where that does not work.

    `revive` brings back one that is gone; `restart` restarts one that hangs; `apply` brings other knobs into force.
    """

    revive: Callable[[], Applied]
    restart: Callable[[], Applied]
    apply: Callable[[KnobValues], Applied]


class BrokerKeeper:
    """Used by one thread.

    The broker is taken to be up at first. A broker that an agent looks after is never touched: its agent has a keeper, too.

    Args:
        hung: why it counts as hung; empty while it answers.
        clock: seconds, monotonic; `chance`: see `Backoff`.
    """

    def __init__(
        self,
        broker: Broker,
        hands: Hands,
        hung: Callable[[], str] = lambda: "",
        policy: BackoffPolicy | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] | None = None,
    ) -> None:
        self._broker, self._hands, self._hung, self._clock = broker, hands, hung, clock
        self._backoff = Backoff(policy, clock=clock) if chance is None else Backoff(policy, clock=clock, chance=chance)
        self._policy = self._backoff.policy
        self._down_since: float | None = None
        self._cause = ""
        """What it died of at first."""
        self._reason = ""
        """Why it is still down."""
        self._log = ""
        self._hangs = False
        self._back_at = clock()
        self._stopped_at = float("-inf")
        self._fallen_back = False
        """Whether the last known good was tried, since it was up for long enough or somebody said begin anew."""
        self._gave_up = ""

    def next_attempt_s(self) -> float:
        """Seconds until the next attempt; 0: now."""
        if self._gave_up:
            return float("inf")
        return 0.0 if self._down_since is None else self._backoff.due_in_s()

    def begin_anew(self) -> None:
        """Somebody in charge wants it tried again."""
        self._backoff.begin_anew()
        self._gave_up, self._fallen_back = "", False
        self._stopped_at = float("-inf")
        if self._down_since is not None:
            self._down_since = self._clock()

    def trouble(self) -> str:
        """Why the broker counts as down at this moment; empty while it is well. Cheap, touches nothing."""
        if not self._broker.alive():
            return self._broker.status().error or "the broker is gone"
        if self._clock() - self._back_at < _CONNECTS_WITHIN_S:
            return ""
        return self._hung()

    def look(self, reason: str = "") -> Report:
        """Does what is due. `reason`: why it is down, where the caller knows better."""
        if isinstance(self._broker, Linked) and not self._broker.connection.state.usable:
            self._down_since = None  # nothing is known; it is not for us to say
            return Report(Care.UP)
        trouble = self.trouble()
        if not trouble:
            return self._is_up()
        if self._gave_up:
            return Report(Care.GIVEN_UP, self._gave_up)
        fresh = self._down_since is None
        if fresh:
            self._fell(reason or trouble)
        if isinstance(self._broker, Linked):
            return self._await_agent(trouble, fresh)
        if self._backoff.given_up:
            return self._last_try()
        if self._backoff.due_in_s() > 0:
            return self._waits(news=fresh)
        return self._attempt()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _is_up(self) -> Report:
        self._gave_up = ""
        if self._clock() - self._back_at >= self._policy.reset_after_s:
            self._fallen_back = False
        if self._down_since is None:
            return Report(Care.UP)
        # Somebody else did it: its agent, or whoever has told of it by now.
        return self._back(self._broker.status().last_applied if isinstance(self._broker, Linked) else None)

    def _fell(self, reason: str) -> None:
        status = self._broker.status()
        self._down_since, self._cause, self._reason, self._log = self._clock(), reason, reason, ""
        self._hangs = self._broker.alive()
        self._backoff.failed(by_others=is_halted(status.pid) if self._hangs else status.outside)

    def _attempt(self) -> Report:
        if self._clock() - self._stopped_at < _LOOK_AGAIN_S:
            return Report(Care.STOPPED, self._reason)
        try:
            applied = self._hands.restart() if self._hangs else self._hands.revive()
        except (BrokerStopped, BrokerDrifted) as error:
            self._stopped_at = self._clock()
            self._reason = "somebody stopped the broker" if isinstance(error, BrokerStopped) else str(error)
            return Report(Care.STOPPED, self._reason)
        except TunerError as error:
            self._reason, self._log = str(error), error.log if isinstance(error, ApplyFailed) else ""
            self._hangs = False
            self._backoff.failed()
            return self._last_try() if self._backoff.given_up else self._waits(news=True)
        return self._back(applied)

    def _last_try(self) -> Report:
        """Other knobs than those in use, which are known to be good: the one thing that has not been tried yet."""
        if not self._fallen_back:
            self._fallen_back = True
            applied = self._fall_back()
            if applied is not None:
                self._backoff.begin_anew()
                return self._back(applied, "; the last known good is in force")
        policy = self._policy
        self._gave_up = (
            f"the broker was given up after {policy.give_up} failures in {policy.within_s:g} s (restart it to try again): "
            f"{self._reason}"
        )
        return Report(Care.GIVEN_UP, self._gave_up, self._log, news=True)

    def _fall_back(self) -> Applied | None:
        status = self._broker.status()
        in_use = dict(status.last_applied.knobs) if status.last_applied is not None else None
        for knobs in (self._broker.last_good, self._broker.baseline):
            if knobs is not None and dict(knobs) != in_use:
                try:
                    return self._hands.apply(knobs)
                except ApplyFailed as error:
                    self._log = error.log or self._log
                    return error.restored
                except TunerError:
                    return None
        return None

    def _await_agent(self, trouble: str, fresh: bool) -> Report:
        assert self._down_since is not None
        if self._clock() - self._down_since < self._policy.within_s:
            return Report(Care.WAITING, f"{trouble}: its agent is to bring it back", news=fresh)
        self._gave_up = f"the agent did not bring its broker back within {self._policy.within_s:g} s: {trouble}"
        return Report(Care.GIVEN_UP, self._gave_up, news=True)

    def _waits(self, *, news: bool) -> Report:
        wait_s = self._backoff.due_in_s()
        return Report(Care.WAITING, f"{self._reason}; the next attempt in {wait_s:.1f} s", self._log, news=news)

    def _back(self, applied: Applied | None, more: str = "") -> Report:
        self._down_since, self._back_at = None, self._clock()
        self._hangs = False
        self._stopped_at = float("-inf")
        self._backoff.up()
        return Report(Care.BACK, self._cause + more, applied=applied, news=True)
