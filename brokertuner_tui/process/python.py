"""How processes are started, those of our own code above all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_SECRETS = ("BROKERTUNER_BROKER_PASSWORD",)


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` without passwords: who starts a broker or a load tells it what it needs in other ways."""
    return {name: value for name, value in environ.items() if name not in _SECRETS}


def environment() -> dict[str, str]:
    """Ours; the package must be found however this process found it, and numpy needs no threads."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.environ.get("PYTHONPATH")
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return os.environ | threads | {"PYTHONPATH": f"{root}{os.pathsep}{path}" if path else root}
