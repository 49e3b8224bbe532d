"""`restore`: what was there before the tuner came."""

from __future__ import annotations

from brokertuner_tui.cli import output
from brokertuner_tui.cli.options import ConfigFile, Json, UnusedSaveDir
from brokertuner_tui.errors import UsageError


def restore(config: ConfigFile = None, json: Json = False, save_dir: UnusedSaveDir = None) -> None:
    """Put the broker's own knob file back as it was.

    As it was before the tuner first wrote, for brokers that were there before us (kind = "systemd" or
    "command"). It is brought into force and verified.
    """
    from brokertuner_tui.broker.kinds import external_broker
    from brokertuner_tui.cli import settings

    wanted = settings.load(config=config).settings.broker
    if wanted.kind not in ("systemd", "command"):
        raise UsageError(f"broker.kind = {wanted.kind!r}: there is something to put back for systemd and command only")
    broker = external_broker(wanted)
    path = broker.knob_file.path
    applied = broker.restore()
    there = path.exists()
    if json:
        output.put_json(
            {"file": str(path), "there": there, "how": applied.how, "pid": applied.pid or None, "checks": list(applied.checks)}
        )
        return
    what = f"{path} is what it was before the tuner came" if there else f"{path} is gone, as before the tuner came"
    did = {"none": "nothing had to be reloaded", "reload": "reloaded"}.get(applied.how, "restarted")
    output.put(f"{what}\n{broker.program}: {did}, and verified: {', '.join(applied.checks)}\n")
