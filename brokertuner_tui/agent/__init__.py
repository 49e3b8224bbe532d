"""DDPG: an actor and a critic that see the load. The only package that imports torch, and lazily imported itself."""
