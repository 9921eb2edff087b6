"""`use = egg:corral#main` in `[server:main]` of a Paste Deploy file: what `pserve` and its like call.

It knows the calling convention of paste.server_runner; what the file says is read by config.paste.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

from corral.application import serve_callable
from corral.config.file import from_file
from corral.config.paste import read_server, translate
from corral.config.sources import Findings


def serve(app: Callable[..., Any], global_conf: Mapping[str, str], **local_conf: str) -> int:
    """Serve `app` until the server is stopped; its exit code. The file's own settings win over those of `config`."""
    settings: dict[str, Any] = {}
    if path := global_conf.get("__file__"):
        settings["default_proc_name"] = path
        settings["logconfig"] = read_server(path, global_conf).get("logconfig")
    findings = Findings()
    given = from_file(local_conf.pop("config", None), os.getcwd(), findings)
    if findings.problems:
        raise findings.problems[0]
    settings.update((name, value.value) for name, value in given.items())
    return serve_callable(app, settings | translate(local_conf))
