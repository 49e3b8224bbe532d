"""What an agent refuses although it is legal: values that can only do harm."""

from __future__ import annotations

from collections.abc import Mapping

from brokertuner_tui.knobs.catalogue import Value, changed
from brokertuner_tui.service.errors import ApiError
from brokertuner_tui.service.hosted import Hosted
from brokertuner_tui.tuning.guard.traps import heap_in_use, traps


def refuse_traps(host: Hosted, wanted: Mapping[str, Value]) -> None:
    """Lets pass what steps into no trap. Where no load runs at this side, only those that need none are known.

    What the broker had before us is nobody's step: it can always be gone back to.

    Args:
        wanted: all eleven knobs, as they would be.

    Raises:
        ApiError: 422 `trap`, naming the knob and the reason.
    """
    version = host.status().version
    if version is None:
        return
    before, baseline, load = host.good, host.baseline, host.load_status()
    asked = [name for name in changed(before, wanted) if wanted[name] != baseline.get(name)]
    profile = load.profile if load is not None else None
    for trap in traps(wanted, profile, version, heap_in_use(host.latest())):
        if trap.knob in asked:
            raise ApiError(422, "trap", f"{trap.knob} = {trap.value} is refused: {trap.reason}", field=trap.knob)
