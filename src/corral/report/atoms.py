"""The atoms of an access line by name, for who makes or reads them one by one: gunicorn's dict, and safe views of it.

It knows which there are beside the table in access, and that no value may forge a line; not when one is written.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from corral.report.access import JSON_FIELDS, all_atoms, code, escape, iso_stamp, json_functions
from corral.report.line import Escaped

JSON: Final = "%(json)s"  # the template for access_log_format = "json"


def atoms_of(resp: Any, req: Any, environ: Mapping[str, Any], seconds: float, stamp: str) -> dict[str, Any]:
    """All of them, headers and variables included, with their names in lower case: `{user-agent}i`."""
    headers = resp.headers
    headers = list(headers.items() if hasattr(headers, "items") else headers)
    atoms = MAKE(environ, str(resp.status), headers, resp.sent, seconds, 0.0, stamp, os.getpid())
    fields = req.headers
    for name, value in fields.items() if hasattr(fields, "items") else fields:
        atoms[f"{{{name.lower()}}}i"] = value
    for name, value in headers:
        atoms[f"{{{name.lower()}}}o"] = value
    for name, value in environ.items():
        atoms[f"{{{name.lower()}}}e"] = value
    return atoms


MAKE: Final = all_atoms()


class SafeAtoms(Escaped):
    """Atoms for `%`: one that doesn't exist is `-`, and text is escaped as in every line of the access log."""

    escape: Callable[[object], str] = staticmethod(escape)

    def __getitem__(self, name: str) -> Any:
        value = super().get(name.lower() if name.startswith("{") else name)
        if value is None:
            return "-"
        return value if isinstance(value, (int, float)) else self.escape(value)

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401

    def values(self) -> Any:
        return [self[name] for name in self]

    def items(self) -> Any:
        return [(name, self[name]) for name in self]


class JsonAtoms(SafeAtoms):
    """Atoms for a template that makes a JSON object, or for the one object that is the server's own."""

    def __init__(self, atoms: Mapping[str, Any]) -> None:
        super().__init__(atoms)
        self.quote, self.escape = json_functions()

    def __getitem__(self, name: str) -> Any:
        return self.line() if name == "json" and name not in self else super().__getitem__(name)

    def line(self) -> str:
        """access.JSON_FIELDS, made of atoms: a logger class may have changed them."""
        now = time.time()
        values = {
            "time": self.quote(iso_stamp(now) % (now % 1 * 1000)),
            "status": code(str(self.raw("s"))),
            "bytes": self.raw("B") or 0,
            "duration_ms": f"{(self.raw('D') or 0) / 1000:.3f}",
            "pid": os.getpid(),
        }
        for key, atom in JSON_TEXT.items():
            text = self.raw(atom)
            values[key] = self.quote(None if text == "-" else text)
        return "{" + ",".join(f'"{key}":{values[key]}' for key in JSON_FIELDS) + "}"

    def raw(self, name: str) -> Any:
        return dict.get(self, name)


JSON_TEXT: Final = {
    "remote_addr": "h",
    "method": "m",
    "path": "U",
    "query": "q",
    "protocol": "H",
    "referer": "f",
    "user_agent": "a",
    "request_id": "{x-request-id}i",
    "host": "{host}i",
}
