"""`spew`: every line that Python executes, as it is executed. A debugging aid of last resort, and very slow.

It knows frames and source lines. The server's own are left out, and what Python's library does for it: they say nothing
about the application.
"""

import linecache
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from corral.worker.reloader import is_standard

Tracer = Callable[[FrameType, str, Any], Any]
OWN = ("corral.", "importlib.", "_frozen_importlib.", "_frozen_importlib_external.")


def install(write: Callable[[str], object]) -> None:
    """From here on, in this thread and in those that start later."""
    tracer = make_tracer(write)
    threading.settrace(tracer)
    sys.settrace(tracer)


def make_tracer(write: Callable[[str], object]) -> Tracer:
    def trace_call(frame: FrameType, event: str, argument: Any) -> Tracer | None:
        """Whether the lines of a frame are traced is decided once, when it is entered."""
        name = frame.f_globals.get("__name__") or ""
        if f"{name}.".startswith(OWN):
            return None
        file, caller = frame.f_code.co_filename, frame.f_back
        # "<frozen os>" is the library's too, and "<string>" code that it has generated.
        of_library = is_standard(file) or file.startswith("<")
        return None if of_library and (caller is None or caller.f_trace is None) else trace_line

    def trace_line(frame: FrameType, event: str, argument: Any) -> Tracer:
        if event == "line":
            name = frame.f_globals.get("__name__") or frame.f_code.co_filename
            source = linecache.getline(frame.f_code.co_filename, frame.f_lineno, frame.f_globals).rstrip()
            write(f"{name}:{frame.f_lineno}: {source}\n")
        return trace_line

    return trace_call
