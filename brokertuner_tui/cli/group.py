"""Groups of commands whose help is quick."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class QuickGroup(TyperGroup):
    """Typer gives its own switches (`--help`, `--show-completion`) the default None, and then imports pydantic, a tenth of a
    second, to make sure that None is no bool. False says the same."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The options of the group, `--help` too."""
        found: list[Any] = super().get_params(ctx)
        for option in found:
            if getattr(option, "is_flag", False) and option.default is None:
                option.default = False
        return found
