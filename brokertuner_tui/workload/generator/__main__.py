"""`python -m brokertuner_tui.workload.generator FD`: serves the parent at the other end of the socket FD."""

from __future__ import annotations

import contextlib
import gc
import resource
import signal
import sys

from brokertuner_tui.workload.generator.control import Control, Gone
from brokertuner_tui.workload.generator.engine import Engine


def main() -> int:
    """Exit code 0: told to stop, or the parent is gone; 2: called by hand."""
    if len(sys.argv) != 2 or not sys.argv[1].isdecimal():
        print("this is started by brokertuner-tui, with the number of its control socket", file=sys.stderr)
        return 2
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # one descriptor a client
    # Collections in the midst of a window would be measured as the broker's latency; the engine collects between them.
    gc.freeze()
    gc.disable()
    with contextlib.suppress(Gone):
        Engine(Control(int(sys.argv[1]))).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
