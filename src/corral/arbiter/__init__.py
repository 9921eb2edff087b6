"""Runs only in the arbiter process: decides which workers live, and makes it so."""
