"""Torch is imported late, quietly, and by nobody else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from brokertuner_tui.agent import torch_import


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120).stdout.strip()


def test_a_fresh_interpreter_gets_torch_and_its_switch_interval_and_collector_back() -> None:
    code = """
import gc, sys
sys.setswitchinterval(0.004)
from brokertuner_tui.agent.torch_import import import_torch_quietly
before = "torch" in sys.modules
torch = import_torch_quietly()
print(before, torch is sys.modules["torch"], float(torch.ones(2).sum()), round(sys.getswitchinterval(), 6))
print(gc.isenabled(), gc.get_freeze_count() > 100_000)
gc.disable()
del sys.modules["torch"]
import_torch_quietly.__globals__["importlib"].import_module = sys.modules.get
import_torch_quietly()
print(gc.isenabled())
"""
    assert run(code).splitlines() == ["False True 2.0 0.004", "True True", "False"]


def test_the_library_is_found_where_torch_has_one() -> None:
    library = torch_import._libtorch()
    assert library is None or library.is_file()
    if sys.platform == "linux":
        assert library is not None


@pytest.mark.parametrize("library", ["/nowhere/libtorch_cpu.so", None])
def test_harmless_without_the_library(library: str | None) -> None:
    code = f"""
from pathlib import Path
from brokertuner_tui.agent import torch_import
torch_import._libtorch = lambda: {f"Path({library!r})" if library else None}
print(torch_import.import_torch_quietly().__name__)
"""
    assert run(code) == "torch"


def test_presets_and_config_need_no_torch() -> None:
    code = """
import sys, brokertuner_tui, brokertuner_tui.agent.presets, brokertuner_tui.agent.config, brokertuner_tui.agent.torch_import
print("torch" in sys.modules)
"""
    assert run(code) == "False"
