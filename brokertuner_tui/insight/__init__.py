"""Why: which knobs mattered under which load, how flat the optimum is, and how sure that is.

`explain(trials)` needs numpy; reading what it found needs nothing.
"""

from __future__ import annotations

from brokertuner_tui.insight.results import CurvePoint, Estimate, KnobInsight, LoadInsight, from_json, to_json
from brokertuner_tui.insight.words import sentences

__all__ = ["CurvePoint", "Estimate", "KnobInsight", "LoadInsight", "from_json", "sentences", "to_json"]
