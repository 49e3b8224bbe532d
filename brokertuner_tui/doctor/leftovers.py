"""Checks of what other tuners do, or have left: processes, runs, unconfirmed changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from brokertuner_tui.broker.intent import Intent
from brokertuner_tui.broker.knob_file import KnobFile
from brokertuner_tui.config.settings import StoreSettings
from brokertuner_tui.doctor.finding import Finding, ok, warning
from brokertuner_tui.process import registry
from brokertuner_tui.process.lock import holder_of

_WHY_ONE = "one tuner for one broker: a second one is refused until it ends"


def orphans() -> Iterator[Finding]:
    """Children of tuners that are gone."""
    found = registry.orphans()
    if not found:
        yield ok("orphans", "none: no process has outlived its tuner")
        return
    named = ", ".join(map(registry.describe, found))
    yield warning("orphans", f"{len(found)}: {named}", "they hold ports and use the machine", registry.HOW_TO_END)


def session(settings: StoreSettings, save_dir: Path) -> Iterator[Finding]:
    """Whether a session is at work with these results."""
    from brokertuner_tui.store.place import Server, place_of

    place = place_of(settings, save_dir)
    kept = place.spool if isinstance(place, Server) else place
    holder = holder_of(kept.with_name(f"{kept.name}.lock"))
    if holder is None:
        yield ok("session", "none is at work in this save dir")
        return
    mend = (
        f"brokertuner-tui runs cancel {holder.run}" if holder.run else f"# end process {holder.pid}, or give another --save-dir"
    )
    yield warning("session", f"at work: {holder.told()}", "one writer for one store: a second one is refused", mend)


def tuner(file: KnobFile) -> Iterator[Finding]:
    """Whether a tuner has this broker of somebody else's, and whether one has left a change that nobody confirmed."""
    holder = file.holder()
    if holder is None:
        yield ok("tuner", "none has this broker")
    else:
        yield warning("tuner", f"{holder.told()} has this broker", _WHY_ONE, f"# end it first: kill {holder.pid}")
    try:
        intent = Intent.from_json(file.intent.read_bytes())
    except FileNotFoundError:
        yield ok("last change", "confirmed, or there was none: nothing is to be rolled back")
    except (OSError, ValueError) as error:
        yield warning(
            "last change",
            f"{file.intent}: {error}",
            "nobody knows whether the last change has proven itself",
            registry.HOW_TO_END,
        )
    else:
        if holder is not None:
            yield ok("last change", "it is being measured, and not confirmed yet")
        else:
            why = "it has not proven itself: the next session rolls it back before anything else"
            yield warning("last change", f"left in force is {intent.told()}", why, registry.HOW_TO_END)
