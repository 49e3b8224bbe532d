"""Commands and groups that answer help and completion quickly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup


class QuickCommand(TyperCommand):
    """Imports pydantic (a tenth of a second) for no option that was not typed."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The command's options, `--help` too."""
        return [_quick(option) for option in super().get_params(ctx)]


class QuickGroup(TyperGroup):
    """The same for a group's own options."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The group's options, `--help` too."""
        return [_quick(option) for option in super().get_params(ctx)]


class MainGroup(QuickGroup):
    """Also has commands of two words: `workload record`, beside `workload NAME`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that `args` begin with, its name, and the rest."""
        pair = " ".join(args[:2])
        if len(args) > 1 and pair in self.commands:
            args = [pair, *args[2:]]
        return super().resolve_command(ctx, args)


def _quick(option: Any) -> Any:
    """Typer (0.2x) asks pydantic whether None, the value of an option that was not typed, is of the right type.

    Its own switches (`--help`, `--show-completion`) have the default None as well: False says the same.
    """
    if getattr(option, "is_flag", False) and option.default is None:
        option.default = False
    if getattr(option, "_runtime_param", option) is None:
        option._runtime_param = _WhenTyped(option)
    return option


class _WhenTyped:
    """Stands before Typer's conversion, which is made when there is something to convert."""

    def __init__(self, option: Any) -> None:
        self._option = option
        self._real: Any = None

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """`value` as the option's type."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        kind = getattr(self._option.type_descriptor, "annotation", None)
        if kind in (str, Path) and isinstance(value, str | Path):
            return kind(value)
        if self._real is None:
            self._option._runtime_param = None
            self._real = self._option.get_runtime_param()
        return self._real.coerce(value, param=param, ctx=ctx)
