"""The tuning problem: one trial on the real thing, what the agent sees of it, and what it is worth."""
