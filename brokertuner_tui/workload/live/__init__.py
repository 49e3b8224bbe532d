"""Traffic that is really there: no load of our own, a light probe, `$SYS`, and chosen topics listened to."""

NAME = "live"
"""What this workload is called; no other may have the name."""
