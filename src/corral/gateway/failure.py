"""What is served while an application that is being developed can't be imported: its traceback. Pure.

It knows exceptions and how to show them. It shows no variables and no settings: a traceback is all that may be seen.
"""

from collections.abc import Callable
from typing import Any

from corral.errors import CorralError
from corral.gateway.wsgi import App, Environ

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ margin: 2rem auto; max-width: 72rem; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; }}
h1 {{ font-size: 1.3rem; white-space: pre-wrap; overflow-wrap: anywhere; }}
pre {{ padding: 1rem; overflow-x: auto; border: 1px solid; border-radius: .3rem; font-size: .9rem; }}
:root {{ color-scheme: light dark; }}
</style>
<h1>{title}</h1>
<p>The application can't be imported. It is tried again when a file changes.</p>
<pre>{text}</pre>
</html>
"""
HEADERS = [
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Vary", "Accept"),
]


def failing_app(error: BaseException) -> App:
    """An application that answers everything with 500 and this error. It keeps the text, not the frames."""
    title, text = describe(error)
    plain = text.encode("utf-8", "backslashreplace")
    html = PAGE.format(title=escape(title), text=escape(text)).encode("utf-8", "backslashreplace")

    def failing(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        kind, body = ("html", html) if "text/html" in environ.get("HTTP_ACCEPT", "").lower() else ("plain", plain)
        length = str(len(body))
        own = [("Content-Type", f"text/{kind}; charset=utf-8"), ("Content-Length", length)]
        start_response("500 Internal Server Error", own + HEADERS)
        return [body]

    return failing


def is_failure(app: Any) -> bool:
    return getattr(app, "__qualname__", "") == "failing_app.<locals>.failing"


def failing_asgi(app: App) -> Any:
    """The same for ASGI: it has no lifespan, and answers before the client has sent all."""

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
        start: list[Any] = []
        body = b"".join(app({"HTTP_ACCEPT": accept}, lambda *given: start.extend(given)))
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in start[1]]
        await send({"type": "http.response.start", "status": 500, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return failing


def describe(error: BaseException) -> tuple[str, str]:
    """The last line, and all of it. Errors of Corral's own are one line that says what to do."""
    if isinstance(error, CorralError):
        return str(error), f"{error}\n"
    import traceback  # lazily: 0.3 MiB, and most applications can be imported

    shown = traceback.TracebackException(type(error), error, without_server(error.__traceback__))
    title = list(shown.format_exception_only())[-1].strip()
    return title, "".join(shown.format())


def without_server(traceback: Any) -> Any:
    """From the user's first frame on: how the server came to import it explains nothing."""
    while traceback is not None:
        name = traceback.tb_frame.f_globals.get("__name__", "")
        if not f"{name}.".startswith(("corral.", "importlib.")):
            break
        traceback = traceback.tb_next
    return traceback


def escape(text: str) -> str:
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        text = text.replace(sign, entity)
    return text
