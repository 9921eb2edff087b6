"""`use = egg:corral#main` in `[server:main]` of a Paste Deploy file: what `pserve` and its like call.

It knows the calling convention of paste.server_runner; what the file says is read by config.paste.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

from corral.application import serve_callable
from corral.config.file import settings_of
from corral.config.paste import read_server, translate


def serve(app: Callable[..., Any], global_conf: Mapping[str, str], **local_conf: str) -> int:
    """Serve `app` until the server is stopped; its exit code. The file's own settings win over those of `config`."""
    settings: dict[str, Any] = {}
    if path := global_conf.get("__file__"):
        settings["default_proc_name"] = path
        settings["logconfig"] = read_server(path, global_conf).get("logconfig")
    settings.update(settings_of(local_conf.pop("config", None), os.getcwd()))
    return serve_callable(app, settings | translate(local_conf))
