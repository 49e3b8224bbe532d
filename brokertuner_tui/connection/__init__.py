"""Connections that may be away for a while: when to try again, what is known of them, and the one to an agent."""
