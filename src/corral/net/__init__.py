"""Sockets: listeners, the event loop and the connections it drives."""
