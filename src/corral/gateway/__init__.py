"""One request meets one application. Pure: no socket, no clock."""
