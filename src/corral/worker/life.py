"""The life of a worker process, from the fork to its exit code, whatever class the worker is of."""

import atexit
import os
import time
from collections.abc import Callable
from typing import Any

from corral.errors import EXIT_BOOT, EXIT_CRASH, AppLoadError, ConfigError
from corral.shared.scoreboard import Cell
from corral.worker.orphan import end_in_time
from corral.worker.recorder import record


def run_worker(worker: Any, prepare: Callable[[], None], bury: Callable[[], None]) -> int:
    """The exit code. `prepare` is what comes before the worker's own code, `bury` what comes after it.

    A failure before the worker has booted is told from one after it: EXIT_BOOT and EXIT_APP say that another try with
    the same code will fail as well.
    """
    worker.pid = os.getpid()
    worker.place.row.cells[Cell.PID] = worker.pid
    worker.log.info("Booting worker with pid: %d", worker.pid)
    record(worker.place.board, worker.place.row)
    end_in_time(worker.place, worker.cfg.graceful_timeout)
    try:
        code = live(worker, prepare)
    finally:
        worker.log.info("Worker exiting (pid: %d)", worker.pid)
        bury()
        run_exit_functions()
    if not code:
        note_leaving(worker)
    return code


def live(worker: Any, prepare: Callable[[], None]) -> int:
    try:
        prepare()
        worker.init_process()
        return 0
    except (ConfigError, AppLoadError) as error:
        worker.log.error("%s", error, exc_info=error.__cause__)
        return error.exit_code if isinstance(error, AppLoadError) else EXIT_BOOT
    except SystemExit as leaving:
        if not worker.booted and not worker.aborted:
            worker.log.exception("Exception in worker process")
            return EXIT_BOOT
        if worker.aborted:
            known = worker.place.row.cells[Cell.EXPLAINED]  # its stack is in the log, by the arbiter
            worker.log.error("Worker aborted", exc_info=not known)
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except Exception:
        worker.log.exception("Exception in worker process")
        return EXIT_CRASH if worker.booted else EXIT_BOOT


def run_exit_functions() -> None:
    """What the application has asked Python for: OpenTelemetry, Sentry and the like send then what they still have.

    The process itself ends without Python's own end, which would also wait for threads that have hung.
    """
    atexit._run_exitfuncs()


def note_leaving(worker: Any) -> None:
    """It leaves by itself, at `max_requests` for instance, and not in the middle of something.

    Said last of all: whoever reads it may put another worker in its place at once.
    """
    cells = worker.place.row.cells
    cells[Cell.DRAIN_SINCE] = cells[Cell.DRAIN_SINCE] or time.monotonic_ns()
