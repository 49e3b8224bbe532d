"""`python -m brokertuner_tui`: the same program as the console script."""

from __future__ import annotations

from brokertuner_tui.cli.main import main

if __name__ == "__main__":
    main()
