"""Runs only in a worker process: serves requests until told to stop."""
