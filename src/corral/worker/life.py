"""The life of a worker process, from the fork to its exit code: boot, serve, leave."""

from collections.abc import Callable
from typing import Any

from corral.app import Application, check_served
from corral.errors import EXIT_BOOT, AppLoadError, ConfigError
from corral.shared.scoreboard import Cell, Interface, State
from corral.worker import sync
from corral.worker.orders import Quit, watch
from corral.worker.worker import Worker


def run_worker(*, load: Callable[[], Application], **parts: Any) -> int:
    """The exit code: 0, EXIT_BOOT or EXIT_APP. `parts` are a Worker's."""
    worker = Worker(**parts)
    worker.log.info("Booting worker with pid: %d", worker.pid)
    watch(worker)
    code = boot(worker, load)
    try:
        if code == 0:
            worker.cells[Cell.STATE] = State.READY
            worker.wake_arbiter()
            sync.serve(worker)
    except Quit:
        worker.settle()
    worker.log.info("Worker exiting (pid: %d)", worker.pid)
    return code


def boot(worker: Worker, load: Callable[[], Application]) -> int:
    """Load the application. 0, or the exit code that tells the arbiter why there is none."""
    try:
        worker.secure()
        application = load()
        check_served(application)
    except ConfigError as error:
        worker.log.error("%s", error)
        return EXIT_BOOT
    except AppLoadError as error:
        worker.log.error("%s", error)
        return error.exit_code
    except (Exception, SystemExit):
        worker.log.exception("Exception in worker process")
        return EXIT_BOOT
    worker.app = application.callable
    worker.cells[Cell.INTERFACE] = Interface.WSGI
    return 0
