"""Compares ways to tune: the same broker, load, space, reward and number of trials for all of them."""
