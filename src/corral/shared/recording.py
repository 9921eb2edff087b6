"""A file in memory in which workers write their stacks, from C and without the GIL, and from which the arbiter reads.

It knows regions, one to a slot; what is written there, and when, it must not know.
"""

import os

# So far apart that no worker ever reaches the next region. What isn't written takes no memory.
REGION = 1 << 40
CHUNK = 1 << 16


class Recording:
    """Made before the first fork. One file for all, for a pipe may be full when it matters, and a file for each slot
    would have to be open in all processes."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("corral-stacks") if hasattr(os, "memfd_create") else -1

    def open(self, slot: int) -> int:
        """In the worker: a descriptor with a position of its own, at the start of the slot's region. Raises OSError."""
        descriptor = os.open(f"/proc/self/fd/{self.fd}", os.O_WRONLY | os.O_CLOEXEC)
        os.lseek(descriptor, slot * REGION, os.SEEK_SET)
        return descriptor

    def read(self, slot: int, position: int) -> bytes:
        """What has been written from a position in the region."""
        found = b""
        while self.fd >= 0:
            chunk = os.pread(self.fd, CHUNK, slot * REGION + position + len(found))
            # After `clear` what lies before another region's text reads as zeros.
            written, zero, _ = chunk.partition(b"\0")
            found += written
            if zero or len(chunk) < CHUNK:
                break
        return found

    def clear(self) -> None:
        """Give the memory back. Writers go on where they are, so positions stay what they were."""
        if self.fd >= 0:
            os.ftruncate(self.fd, 0)
