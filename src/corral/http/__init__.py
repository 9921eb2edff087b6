"""HTTP as data: bytes in, requests out. Pure: no socket, no clock, no thread."""
