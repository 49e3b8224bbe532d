"""What stands in the way of tuning on this machine, and the exact command that mends it."""
