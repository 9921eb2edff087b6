"""ASGI 3 over HTTP/1: the scope of a request, and one request's conversation as a state machine. Pure.

It knows scopes, messages and in which order they may come; bytes leave through the exchange that a conversation is. It
must not know sockets, loops and tasks: who waits, and for what, is the connection's affair.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from http import HTTPStatus
from itertools import islice
from typing import Any, Final, NamedTuple

from corral.errors import AppError
from corral.gateway.exchange import Exchange, Transmit
from corral.gateway.wsgi import Trust
from corral.http.head import HTTP_1_0, HTTP_1_1, RequestLine
from corral.http.inbound import NAMES, is_kept
from corral.http.response import Header, Heads

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Any]
Fields = list[tuple[bytes, bytes]]

VERSION: Final = {"version": "3.0", "spec_version": "2.5"}
HTTP_EXTENSIONS: Final[Scope] = {
    "http.response.early_hint": {},
    "http.response.pathsend": {},
    "http.response.zerocopysend": {},
}
DISCONNECT: Final = "http.disconnect"

# -- the scope


class Mount(NamedTuple):
    """What the scopes of all connections of a listener have in common with their server."""

    trust: Trust
    root_path: str = ""
    state: dict[str, Any] | None = None  # of the lifespan, where the application has one


def base_scope(mount: Mount, *, client: tuple[str, int] | None, server: tuple[str, int | None]) -> Scope:
    """What all requests of a connection have in common, with room for what they haven't: growing costs 0.5 µs."""
    scope: Scope = {
        "type": "http",
        "asgi": VERSION,
        "http_version": "1.1",
        "server": server,
        "client": client,
        "scheme": "http",
        "method": "",
        "root_path": mount.root_path,
        "path": "",
        "raw_path": b"",
        "query_string": b"",
        "headers": [],
        "extensions": HTTP_EXTENSIONS,
    }
    if mount.state is not None:
        scope["state"] = mount.state
    return scope


Target = tuple[str, str, bytes, bytes, str]
targets: Final[dict[bytes, Target]] = {}
VERSIONS: Final = {HTTP_1_1: "1.1", HTTP_1_0: "1.0"}


def read_target(line: RequestLine, line_bytes: bytes) -> Target:
    """(method, path, raw_path, query_string, http_version), kept for the lines that the reader of heads keeps."""
    method, target, path, query, version, authority = line
    if not path.isascii():
        path = path.encode("latin-1").decode("utf-8", "replace")
    raw = target.partition("?")[0]
    if authority is not None:  # the absolute form: what stands behind the authority is the path
        raw = raw[raw.index("//") + 2 + len(authority) :] or "/"
    found = (
        method, path, raw.encode("latin-1"), query.encode("latin-1"),
        VERSIONS.get(version) or version.rpartition("/")[2],
    )  # fmt: skip
    if is_kept(line_bytes):
        if len(targets) >= 1024:
            targets.clear()
        targets[line_bytes] = found
    return found


def mounted(scope: Scope, root_path: str) -> None:
    """Put the application below `root_path`: `path` begins with it, whether or not the proxy has taken it off."""
    scope["root_path"] = root_path
    path = scope["path"]
    if not f"{path}/".startswith(f"{root_path.rstrip('/')}/"):
        scope["path"] = root_path + path
        scope["raw_path"] = root_path.encode("utf-8") + scope["raw_path"]


# -- the request's fields, as they came


names: Final[dict[bytes, bytes]] = {}
MOST_NAMES: Final = 1024
LONGEST_NAME: Final = 64


class HeaderNames(dict[str, bytes]):
    """CGI keys → the names that they come of, where no name has an underscore."""

    def __missing__(self, key: str) -> bytes:
        name = key.removeprefix("HTTP_").replace("_", "-").lower().encode("latin-1")
        if len(self) < MOST_NAMES and len(key) <= LONGEST_NAME:
            self[key] = name
        return name


header_names: Final = HeaderNames()


def headers_behind(fields: dict[str, Any], start: int, count: int) -> Fields | None:
    """The `count` fields that stand behind the first `start` keys; None if some were joined, or have an underscore.

    Half the objects that reading the block again makes: 5 µs of a request whose fields are all new.
    """
    if len(fields) != start + count or NAMES.underscored:
        return None
    return [(header_names[key], value.encode("latin-1")) for key, value in islice(fields.items(), start, None)]


def read_headers(block: bytes, keeps: Callable[[bytes], bool]) -> Fields:
    """Names in small letters, values without blanks around them; the block has passed every check. 0.25 µs a field.

    `keeps` is asked about names with an underscore: an application that turns hyphens to underscores could take them
    for what a proxy sets.
    """
    lines = block.split(b"\r\n")
    if b" \r" not in block and b":  " not in block and b"\t" not in block and block[-1:] != b" ":
        try:
            return [(names[name], value) for name, _, value in [line.partition(b": ") for line in lines]]
        except KeyError:
            pass  # a new name, or a value right behind its colon
    headers: Fields = []
    for line in lines:
        name, _, value = line.partition(b":")
        known = names.get(name)
        if known is None:
            known = name.lower()
            if b"_" in name:
                if not keeps(name):
                    continue
            elif len(name) <= LONGEST_NAME:
                if len(names) >= MOST_NAMES:
                    names.clear()
                names[name] = known
        headers.append((known, value.strip()))
    return headers


def headers_of(fields: dict[str, Any]) -> Fields:
    """The same from CGI keys, which is all that uwsgi sends."""
    headers: Fields = []
    for key, value in fields.items():
        name = key[5:] if key.startswith("HTTP_") else key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else ""
        if name:
            headers.append((name.replace("_", "-").lower().encode("latin-1"), value.encode("latin-1")))
    return headers


def keeper(trust: Trust, trusted: bool) -> Callable[[bytes], bool]:
    """gateway.wsgi.judge_underscores for ASGI; a name that is to be refused has been refused by it."""

    def keeps(name: bytes) -> bool:
        capitals = name.decode("latin-1").upper()
        allowed = trusted and (capitals in trust.forwarder_headers or "*" in trust.forwarder_headers)
        return allowed or trust.header_map == "dangerous"

    return keeps


# -- the response


STATUSES: Final = {int(status): f"{int(status)} {status.phrase}" for status in HTTPStatus}


class AsgiHeads(Heads):
    """Heads of byte strings. A line is kept under what the application said, as with WSGI's."""

    __slots__ = ()

    def write(self, status: str, headers: Sequence[Any]) -> list[bytes]:
        try:
            return super().write(status, headers)
        except AppError:
            if all(type(header) is tuple for header in headers):
                raise
            # The specification allows lists of lists, which are no keys.
            return super().write(status, [tuple(header) for header in headers])

    def new_line(self, header: Any) -> bytes:
        plain = as_text(header)
        line = super().new_line(plain)
        kept, length = self.lines.pop(plain, None), self.lengths.pop(plain, None)
        if kept is not None:
            self.lines[header] = kept
        if length is not None:
            self.lengths[header] = length
        return line


def as_text(header: Any) -> Header:
    name, value = header if len(header) == 2 else (None, None)
    if not isinstance(name, bytes) or not isinstance(value, bytes):
        raise AppError(f"a header must be two byte strings, not {header!r}")
    return name.decode("latin-1"), value.decode("latin-1")


# What an application may say next. Plain integers: they are compared at each message.
START: Final = 0
BODY: Final = 1
TRAILERS: Final = 2
OVER: Final = 3
NEXT: Final = {
    START: "http.response.start",
    BODY: "http.response.body",
    TRAILERS: "http.response.trailers",
    OVER: "nothing: the response is complete",
}


class Conversation(Exchange):
    """One request's exchange of messages. `respond` is send's half of it; what receive returns is the connection's."""

    __slots__ = ("stage", "trailers")

    def __init__(self, heads: Heads, method: str, version: str, keep_alive: bool, transmit: Transmit) -> None:
        super().__init__(heads, method, version, keep_alive, transmit)
        self.stage = START
        self.trailers: list[bytes] | None = None  # those that the application has announced

    def respond(self, message: Message) -> None:
        """Take one message of the application's. Raises AppError for one that can't come now."""
        kind = message["type"]
        if kind == "http.response.body" and self.stage == BODY:
            if self.head_sent or message.get("more_body") or self.trailers is not None:
                self.take_body(message)
            else:
                data = message.get("body", b"")
                self.send_whole(data if type(data) is bytes else as_bytes(data))
                self.stage = OVER
        elif kind == "http.response.start" and self.stage == START:
            self.begin(message)
        elif kind == "http.response.trailers" and self.stage == TRAILERS:
            self.take_trailers(message)
        elif kind == "http.response.early_hint" and self.stage == START:
            self.early_hints([(b"Link", link) for link in message["links"]])  # type: ignore[misc]
        else:
            self.respond_otherwise(kind, message)

    def begin(self, message: Message) -> None:
        """Take an http.response.start. Nothing leaves before the first piece of body."""
        status = message["status"]
        self.status = STATUSES.get(status) or new_status(status)
        headers = message.get("headers", ())
        self.headers = headers if type(headers) is list else list(headers)
        if message.get("trailers"):
            self.trailers = []
        self.stage = BODY

    def respond_otherwise(self, kind: str, message: Message) -> None:
        """What isn't a plain response: overridden for what needs more than this module knows."""
        raise AppError(f"the application sent {kind!r}; what may come now is {NEXT[self.stage]}")

    def take_body(self, message: Message) -> None:
        data = message.get("body", b"")
        if type(data) is not bytes:
            data = as_bytes(data)
        if message.get("more_body"):
            if data:
                self.send(data)
            elif not self.head_sent:
                self.transmit(self.head(None))  # who sends an empty piece first wants the head to arrive
        else:
            self.send(data)
            self.end_body()

    def end_body(self) -> None:
        if self.trailers is None:
            self.finish()
            self.stage = OVER
            return
        if not self.head_sent:
            self.transmit(self.head(None))
        self.stage = TRAILERS

    def take_trailers(self, message: Message) -> None:
        assert self.trailers is not None
        # RFC 9110 §6.5.1: what frames, routes or authenticates a message is no trailer; and not without chunks.
        headers = list(message.get("headers", ()))
        for header in headers:
            if as_text(header)[0].lower() in FORBIDDEN_TRAILERS:
                raise AppError(f"{header[0]!r} can't be a trailer")
        self.trailers += self.heads.write(self.status, headers)[1:]
        if message.get("more_trailers"):
            return
        self.stage = OVER
        if self.chunked and self.trailers and self.may_trail():
            self.transmit(b"".join([b"0\r\n", *self.trailers, b"\r\n"]))
            self.check_promise()
        else:
            self.finish()

    def may_trail(self) -> bool:
        """Whether the client takes trailers (RFC 9110 §6.5.1)."""
        return False

    def frame_file(self, count: int, more: bool) -> tuple[bytes, int, bytes]:
        """A piece of body that is in a file: what goes before it, how much of it goes, and what goes behind it."""
        if self.stage != BODY:
            raise AppError(f"the application sent a file; what may come now is {NEXT[self.stage]}")
        before = b""
        if not self.head_sent:
            before = self.head(None if more or self.trailers is not None else count)
        after = b""
        if self.head_only:
            count = 0
        elif self.left is not None:
            self.surplus = self.surplus or count > self.left
            count = min(count, self.left)
            self.left -= count
        elif self.chunked and count:
            before, after = b"%b%x\r\n" % (before, count), b"\r\n"
        self.sent += count
        return before, count, after


FORBIDDEN_TRAILERS: Final = frozenset(
    """
    transfer-encoding content-length content-encoding content-type content-range host trailer te authorization
    set-cookie cache-control expect max-forwards pragma range
    """.split()
)


def new_status(status: object) -> str:
    if not isinstance(status, int) or not 100 <= status <= 999:
        raise AppError(f"the status must be a number of three digits, not {status!r}")
    return f"{status} "


def as_bytes(data: object) -> bytes:
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    raise AppError(f"a piece of body must be bytes, not {type(data).__name__}")


def texts(headers: Iterable[Any]) -> list[Header]:
    """An application's headers as logs and hooks know them."""
    return [(bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in headers]


def takes_trailers(fields: dict[str, Any]) -> bool:
    te = fields.get("HTTP_TE")
    return te is not None and "trailers" in [option.strip() for option in te.lower().split(",")]
