"""What keeps a broker that matters safe from what is tried on it: traps, caution, an SLO, a budget of restarts. Pure logic."""
