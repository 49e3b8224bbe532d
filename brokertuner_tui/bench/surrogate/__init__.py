"""Recorded trials, and a model of them that stands in for the broker while an agent is designed."""
