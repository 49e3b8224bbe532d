"""Child processes: one owner each, an identity that survives PID reuse, and an end for the whole group."""
