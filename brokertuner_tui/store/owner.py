"""Where `Owner` was before other packages than the store needed it."""

from brokertuner_tui.process.owner import Owner, boot_id

__all__ = ["Owner", "boot_id"]
