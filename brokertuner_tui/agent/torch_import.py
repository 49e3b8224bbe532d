"""Importing torch beside a user interface without freezing it."""

from __future__ import annotations

import ctypes
import gc
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType


def import_torch_quietly() -> ModuleType:
    """Imports torch, letting other threads run as much as possible meanwhile.

    Most of the second that `import torch` takes goes into the dynamic linker, which Python calls with the GIL held: an event
    loop in another thread stands still for it. Opening the largest library first by a foreign call, which releases the GIL,
    leaves the import itself next to nothing to link. A shorter switch interval then helps over the rest, which is Python code.
    That code makes more than a hundred thousand objects that stay: the garbage collector is not let look at them again and
    again while they are made, nor ever after.
    Harmless where the library is not found: torch is then imported as always.

    Raises:
        ImportError: torch is not installed.
    """
    if "torch" in sys.modules:
        return sys.modules["torch"]
    library = _libtorch()
    if library is not None:
        _open_without_the_gil(library)
    interval = sys.getswitchinterval()
    collects = gc.isenabled()
    sys.setswitchinterval(0.0005)
    gc.disable()
    try:
        torch = importlib.import_module("torch")
        gc.freeze()
        return torch
    finally:
        if collects:
            gc.enable()
        sys.setswitchinterval(interval)


def _libtorch() -> Path | None:
    spec = importlib.util.find_spec("torch")  # finds, does not import
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "lib" / "libtorch_cpu.so"
        if path.is_file():
            return path
    return None


def _open_without_the_gil(library: Path) -> None:
    try:
        dlopen = ctypes.CDLL(None).dlopen  # a foreign function of CDLL releases the GIL; ctypes' own dlopen does not
    except (OSError, AttributeError):
        return
    dlopen.restype = ctypes.c_void_p
    dlopen.argtypes = (ctypes.c_char_p, ctypes.c_int)
    dlopen(os.fsencode(library), os.RTLD_NOW)  # a failure shows when torch is imported, with a better message
