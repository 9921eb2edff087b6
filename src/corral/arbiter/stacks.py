"""Stacks as faulthandler writes them, and which line of them is the application's. Pure.

What it reads comes from a worker, which may be anything by now: it is text to be shown, never to be believed.
"""

import os
from typing import NamedTuple

import corral

HEADS = ("Thread 0x", "Current thread 0x")
FRAME = '  File "'
LIBRARY = f"{os.path.dirname(os.__file__)}{os.sep}"
OWN = f"{os.path.dirname(corral.__file__)}{os.sep}"
PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class Frame(NamedTuple):
    """`line` is a number, as text."""

    file: str
    line: str
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


class Stack(NamedTuple):
    """One thread's, the innermost frame first. `lines` are as they were found, without the frames of the server that
    lead to the application: they are the same in all stacks."""

    thread: int
    lines: list[str]
    frames: list[Frame]

    @property
    def current(self) -> bool:
        """Whether it is the thread that was interrupted to write this."""
        return self.lines[0].startswith("Current")


def parse(text: str) -> list[Stack]:
    """The stacks of one or more dumps; of two of one thread the later one."""
    stacks: dict[int, Stack] = {}
    for lines in sections(text):
        frames = [parse_frame(line) for line in lines]
        last = max((number for number, frame in enumerate(frames) if frame and not is_servers(frame)), default=None)
        thread = ident_of(lines[0])
        stacks[thread] = Stack(thread, lines if last is None else lines[: last + 1], list(filter(None, frames)))
    return list(stacks.values())


def sections(text: str) -> list[list[str]]:
    """The lines of each thread."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith(HEADS):
            found.append([line])
        elif found and line.strip():
            found[-1].append(line)
    return found


def ident_of(head: str) -> int:
    try:
        return int(head.partition("thread " if head.startswith("Current") else "Thread ")[2].split()[0], 16)
    except (IndexError, ValueError):
        return 0


def parse_frame(line: str) -> Frame | None:
    if not line.startswith(FRAME):
        return None
    file, _, rest = line[len(FRAME) :].rpartition('", line ')
    number, _, function = rest.partition(" in ")
    return Frame(file, number, function)


def place_of(frames: list[Frame], app: str) -> Frame | None:
    """Where the application is: its innermost frame, else that of a package, else the innermost of all.

    `app` is what is served; its package is the application's wherever it is installed.
    """
    package = app.partition(":")[0].partition(".")[0]
    for wanted in (lambda frame: is_applications(frame, package), is_packages):
        for frame in frames:
            if wanted(frame):
                return frame
    return frames[0] if frames else None


def is_applications(frame: Frame, package: str) -> bool:
    file = frame.file
    if file.startswith(OWN):
        return False
    for packages in PACKAGES:
        _, found, inside = file.partition(packages)
        if found:
            return inside.partition(os.sep)[0].removesuffix(".py") == package
    return not file.startswith((LIBRARY, "<"))


def is_servers(frame: Frame) -> bool:
    return frame.file.startswith((OWN, "<frozen runpy>"))


def is_packages(frame: Frame) -> bool:
    return not frame.file.startswith(OWN) and any(packages in frame.file for packages in PACKAGES)
