"""What outlives a fork: shared memory, wake-ups, processes. System calls, no policy."""
