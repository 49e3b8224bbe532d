"""Names, and packages that are not there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from brokertuner_tui.bench.methods import registry
from brokertuner_tui.errors import UsageError
from tests.bench.methods.response import make_task


def test_an_unknown_method_is_named_with_those_that_are_known() -> None:
    with pytest.raises(UsageError) as error:
        registry.check(["tpe", "hyperopt"])
    assert "'hyperopt'" in str(error.value)
    assert "\n" not in str(error.value)
    for name in registry.names():
        assert name in str(error.value)


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [
        ("tpe", "optuna", "optuna"),
        ("gp", "scipy", "scipy"),
        ("cmaes", "cmaes", "cmaes"),
        ("smac", "smac", "smac"),
        ("sb3", "stable_baselines3", "stable-baselines3"),
    ],
)
def test_a_package_that_is_missing_is_named_with_the_extra(
    name: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    for ask in (lambda: registry.check(registry.names()), lambda: registry.make(name, make_task())):
        with pytest.raises(UsageError) as error:
            ask()
        assert package in str(error.value)
        assert "pip install 'brokertuner-tui[bench]'" in str(error.value)
        assert "\n" not in str(error.value)
    registry.check([other for other in registry.names() if other not in ("tpe", "gp", "cmaes", "smac", "sb3")])


def test_checking_loads_no_rival() -> None:
    code = (
        "import sys; from brokertuner_tui.bench.methods import registry; registry.check(registry.names())\n"
        "print([m for m in ('optuna', 'cmaes', 'smac', 'stable_baselines3', 'sklearn', 'scipy', 'torch') if m in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert ended.stdout.strip() == "[]", ended.stderr
