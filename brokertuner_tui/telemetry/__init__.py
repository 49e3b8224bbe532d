"""What is read from the running system: `$SYS`, the broker's process, the load's counters."""
