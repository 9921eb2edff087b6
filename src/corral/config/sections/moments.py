"""Functions of the user's that are called at moments of the server's life, with what, and where."""

import dataclasses

from corral.config.hooks import Hook
from corral.config.row import hook
from corral.config.sections.process import DIRTY


# A row is a paragraph:
# fmt: off
@dataclasses.dataclass(frozen=True, kw_only=True, init=False, eq=False, repr=False)
class Moments:
    """The hooks."""

    __slots__ = ()

    # -- Hooks --
    on_starting: Hook = hook("server", help="In the arbiter, before it listens.")
    when_ready: Hook = hook("server", help="In the arbiter, once it listens, before the first worker is forked.")
    on_reload: Hook = hook("server", help="In the arbiter, at a reload, before the new workers are forked.")
    nworkers_changed: Hook = hook(
        "server", "new", "old",
        help="In the arbiter, when the number of workers is set; old is None at first.",
    )
    pre_fork: Hook = hook("server", "worker", help="In the arbiter, before a worker is forked.")
    post_fork: Hook = hook("server", "worker", help="In a worker, first of all.")
    post_worker_init: Hook = hook("worker", help="In a worker that has loaded the application.")
    worker_int: Hook = hook("worker", help="In a worker that is told to leave at once, by INT or QUIT.")
    worker_abort: Hook = hook("worker", help="In a worker that has exceeded its timeout.")
    pre_exec: Hook = hook(
        "server",
        help="In the process that is to become the next arbiter, at USR2.",
    )
    pre_request: Hook = hook("worker", "req", help="In a worker, before the application is called.")
    post_request: Hook = hook(
        "worker", "req", "environ", "resp", least=2,
        help="In a worker, after the response; the last two arguments may be left out.",
    )
    child_exit: Hook = hook("server", "worker", help="In the arbiter, when a worker has ended.")
    worker_exit: Hook = hook("server", "worker", help="In a worker, at its end.")
    on_exit: Hook = hook("server", help="In the arbiter, at its end.")
    ssl_context: Hook = hook(
        "config", "default_ssl_context_factory",
        help="Returns the ssl.SSLContext of the listeners; the factory makes the one that the settings describe.",
    )
    on_dirty_starting: Hook = hook("arbiter", effect=DIRTY, help="gunicorn's, before dirty workers are started.")
    dirty_post_fork: Hook = hook("arbiter", "worker", effect=DIRTY, help="gunicorn's, in a dirty worker.")
    dirty_worker_init: Hook = hook(
        "worker", effect=DIRTY,
        help="gunicorn's, in a dirty worker that has loaded its applications.",
    )
    dirty_worker_exit: Hook = hook("arbiter", "worker", effect=DIRTY, help="gunicorn's, at the end of a dirty worker.")
