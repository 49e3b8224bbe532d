"""Every trial, durably: the store, the CSV files that scripts expect, and what is taken away from a run.

Nothing here imports SQLAlchemy (0.4 s) until a store is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brokertuner_tui.store.store import Store

__all__ = ["Store"]


def __getattr__(name: str) -> Any:
    # Lazy (PEP 562): rows and CSV files are used without a database.
    if name == "Store":
        from brokertuner_tui.store.store import Store

        return Store
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
