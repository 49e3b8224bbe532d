"""The load on the broker: what it is made of, the generator's process, and what a window measured."""
