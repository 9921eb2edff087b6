"""gunicorn.reloader: its engines are classes; here there is one class, which `reload_engine` tells how to look."""

from corral.worker.reloader import Reloader

has_inotify = False  # the package of that name; what the system reports comes by way of watchfiles
reloader_engines = dict.fromkeys(("auto", "poll"), Reloader)
