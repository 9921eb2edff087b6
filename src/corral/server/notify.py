"""systemd, or whoever else listens on NOTIFY_SOCKET: it is told what the server is doing, as sd_notify(3) describes.

It knows that protocol and which news leads to which message. It never waits, and nobody minds if nobody listens.
"""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from corral.arbiter.news import News

if TYPE_CHECKING:
    from corral.server.composition import Server

READY = "READY=1"
RELOADING = "RELOADING=1"
LIFE = ("WATCHDOG=1",)


class Supervisor:
    """Whoever supervises this server."""

    def __init__(self, server: "Server", environ: Mapping[str, str]) -> None:
        self.server = server
        self.address = address_of(environ.get("NOTIFY_SOCKET", ""))
        self.interval = watchdog_of(environ)  # nanoseconds between two signs of life; 0: none are wanted
        self.socket: socket.socket | None = None
        self.last: tuple[str, ...] = ()

    def say(self, *lines: str) -> None:
        if not self.address or lines == self.last:
            return
        self.last = lines if lines != LIFE else self.last
        with suppress(OSError):  # full, or gone
            if self.socket is None:
                self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self.socket.setblocking(False)
            self.socket.sendto("\n".join(lines).encode(), self.address)

    def attach(self) -> None:
        """From now on there are workers."""
        arbiter = self.server.arbiter
        if self.address and arbiter is not None:
            arbiter.hearers.append(self.hear)
            if self.server.upgrade.predecessor is None:
                self.show_life()

    def hear(self, news: News, sentence: str) -> None:
        upgrade = self.server.upgrade
        if upgrade.predecessor is not None:
            # The service's main process is still the other one, and it speaks; only the signs of life may overlap.
            if news is News.COMPLETE:
                self.show_life()
            return
        match news:
            case News.READY if self.last and self.last[0] == RELOADING:
                pass  # the reload isn't over
            case News.READY | News.COMPLETE:
                self.say(READY, self.status())
            case News.FAILED:
                self.say(READY, f"{self.status()}; reload failed: {sentence}")
            case News.RELOADING:
                self.reloading("Reloading")
            case News.SCALED:
                self.say(self.status())
            case News.LEAVING:
                self.say("STOPPING=1", "STATUS=Stopping: not ready for new clients, still accepting")
            case News.STOPPING if upgrade.successor is not None:
                self.say(f"MAINPID={upgrade.successor.pid}")
            case News.STOPPING:
                self.say("STOPPING=1", "STATUS=Stopping")

    def reloading(self, status: str) -> None:
        self.say(RELOADING, f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", f"STATUS={status}")

    def hand_over(self, pid: int) -> None:
        """Another process is the service from now on."""
        self.say(f"MAINPID={pid}", READY)

    def take_over(self) -> None:
        """We are; it may be that nobody could say so."""
        self.say(f"MAINPID={os.getpid()}", READY, self.status())

    def status(self) -> str:
        arbiter = self.server.arbiter
        if arbiter is None:
            return "STATUS=Starting"
        ready = sum(handle.ready and handle.staying for handle in arbiter.pool.handles.values())
        return f"STATUS={ready} of {arbiter.edition.workers} workers ready, generation {arbiter.edition.generation}"

    def show_life(self) -> None:
        """The one reason for an idle arbiter to wake up."""
        arbiter = self.server.arbiter
        if self.interval and arbiter is not None:
            self.say(*LIFE)
            arbiter.at(time.monotonic_ns() + self.interval, self.show_life)


def address_of(text: str) -> str:
    """A path, or @NAME of the abstract namespace; anything else is none that we know."""
    if text.startswith("@"):
        return f"\0{text[1:]}"
    return text if text.startswith("/") else ""


def watchdog_of(environ: Mapping[str, str]) -> int:
    """Half of what the supervisor waits for (sd_watchdog_enabled(3)), if it waits for this process."""
    limit, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not limit.isdecimal() or pid not in ("", str(os.getpid())):
        return 0
    return int(limit) * 1000 // 2
