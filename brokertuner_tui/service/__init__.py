"""The HTTP service: a front end for other systems, and the agent on a broker's host. No logic of its own."""
