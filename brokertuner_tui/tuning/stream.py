"""The queue that events come out of: one for each reader, latest-wins for telemetry, nothing else is dropped."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from brokertuner_tui.tuning.events import Event, PhaseChanged, Sampled

_LATEST_WINS = (Sampled, PhaseChanged)


class Subscription:
    """One reader's queue. `wake` is called (by the writer's thread, briefly) when something is there to read."""

    def __init__(self, wake: Callable[[], None] | None = None) -> None:
        self._events: deque[Event] = deque()
        self._ready = threading.Condition()
        self._wake = wake

    def put(self, event: Event) -> None:
        """Adds `event`; an unread one of a latest-wins kind gives way to it."""
        with self._ready:
            if isinstance(event, _LATEST_WINS):
                for index, old in enumerate(self._events):
                    if type(old) is type(event):
                        del self._events[index]
                        break
            self._events.append(event)
            self._ready.notify()
        if self._wake is not None:
            self._wake()

    def drain(self) -> list[Event]:
        """All unread events, oldest first; empty when there are none. Never waits."""
        with self._ready:
            events = list(self._events)
            self._events.clear()
            return events

    def get(self, timeout_s: float) -> Event | None:
        """The oldest unread event, waiting up to `timeout_s` for one."""
        deadline = time.monotonic() + timeout_s
        with self._ready:
            while not self._events:
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._ready.wait(left)
            return self._events.popleft()


class EventStream:
    """Hands every event to every subscription."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: tuple[Subscription, ...] = ()

    def subscribe(self, wake: Callable[[], None] | None = None) -> Subscription:
        """A queue that gets every event from now on."""
        subscription = Subscription(wake)
        with self._lock:
            self._subscriptions = (*self._subscriptions, subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stops feeding `subscription`."""
        with self._lock:
            self._subscriptions = tuple(kept for kept in self._subscriptions if kept is not subscription)

    def put(self, event: Event) -> None:
        """Hands `event` to every subscription."""
        for subscription in self._subscriptions:
            subscription.put(event)
