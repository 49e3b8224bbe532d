"""Gives back what the allocator keeps: tensors of growing sizes leave holes in the heap that glibc does not return itself."""

from __future__ import annotations

import ctypes
from collections.abc import Callable


def _find() -> Callable[[int], int] | None:
    try:
        trim = ctypes.CDLL(None).malloc_trim  # glibc only
    except (OSError, AttributeError):
        return None
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    return trim


_trim = _find()


def give_back() -> None:
    """Returns free memory to the system, where that can be asked for (some milliseconds)."""
    if _trim is not None:
        _trim(0)
