"""How many threads a rival thinks with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch, BLAS and OpenMP use one thread in here, as our own agents do.

    The load runs on while a method thinks. Threads that wait for each other beside it take ten times as long for matrices as
    small as these, and what a rival proposes does not depend on them.
    """
    import threadpoolctl
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpoolctl.threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)
