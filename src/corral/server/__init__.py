"""Joins what the floors below have: from a configuration to a running server, and from a fork to a worker."""
