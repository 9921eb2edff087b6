"""The head of a response as bytes, each line checked once (RFC 9110 §5.5, §6.6; RFC 9112 §4, §6).

It knows which fields an application may set, and what a status forbids; it must not know who sends the bytes.
"""

from collections.abc import Sequence
from typing import Final

from corral.errors import AppError
from corral.http.syntax import DIGITS, FIELD_BYTES, is_token

REASONS: Final = {
    400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout",
    413: "Content Too Large", 414: "URI Too Long", 417: "Expectation Failed", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 501: "Not Implemented", 503: "Service Unavailable", 505: "HTTP Version Not Supported",
    507: "Insufficient Storage",
}  # fmt: skip

# PEP 3333: an application must not set hop-by-hop fields. The first group is the server's own affair and is passed
# over, as gunicorn does; Connection and Upgrade are heard for what they ask.
OURS: Final = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailers", "transfer-encoding",
     "upgrade", "server", "date")
)  # fmt: skip
# Fields whose values never come twice: remembering their lines would push out those that do.
ENDLESS: Final = frozenset(
    ("set-cookie", "etag", "last-modified", "expires", "location", "x-request-id", "traceparent")
)
MOST_LINES: Final = 1024
LONGEST_LINE: Final = 256

CLOSE: Final = b"Connection: close\r\n\r\n"

Header = tuple[str, str]


class Heads:
    """Writes heads. One for each thread that runs applications: it keeps what the head being written said."""

    __slots__ = (
        "bodiless", "close", "date", "length", "lengths", "lines", "same_head", "same_headers", "same_last_head",
        "same_length", "same_status", "server", "starts", "upgrade",
    )  # fmt: skip

    def __init__(self, server: str) -> None:
        self.server = server
        self.date = ""
        self.lines: dict[Header, bytes] = {}
        self.lengths: dict[Header, tuple[bytes, int]] = {}
        self.starts: dict[str, tuple[bytes, bool]] = {}
        self.length: int | None = None
        self.bodiless = False
        self.close = False
        self.upgrade = ""
        self.same_status = ""
        self.same_headers: list[Header] = []
        self.same_length: int | None = None
        self.same_head = b""
        self.same_last_head = b""

    def remember(self, status: str, headers: Sequence[Header], lines: list[bytes]) -> None:
        """Applications repeat themselves: the next response with the same status and headers has the same head."""
        self.same_status = status
        self.same_headers = list(map(tuple, headers))  # type: ignore[arg-type]  # a list could change under our hands
        self.same_length = self.length
        self.same_head = b"".join((*lines, b"\r\n"))
        self.same_last_head = b"".join((*lines, CLOSE))

    def set_date(self, date: str) -> None:
        """`date` is an IMF-fixdate (RFC 9110 §5.6.7); called once a second by whoever has a clock."""
        self.date = date
        self.starts.clear()
        self.same_status = ""

    def write(self, status: str, headers: Sequence[Header]) -> list[bytes]:
        """The head's lines, without the one that frames the body and without the empty one.

        Afterwards `length` is the Content-Length that the application gave, `close` whether it asked to close, and
        `upgrade` what it switches to. Raises AppError if a status or a header could break the message.
        """
        self.length = None
        self.close = False
        self.upgrade = ""
        lines, lengths = self.lines, self.lengths
        start, self.bodiless = self.starts.get(status) or self.new_start(status)
        out = [start]
        try:
            for header in headers:
                line = lines.get(header)
                if line is None:
                    known = lengths.get(header)
                    line = self.new_line(header) if known is None else self.take_length(*known)
                out.append(line)
        except TypeError:  # a list is no key; PEP 3333 wants tuples, applications that send lists work elsewhere
            return self.write(status, [as_tuple(header) for header in headers])
        return out

    def new_start(self, status: str) -> tuple[bytes, bool]:
        """Status line, Server and Date; and whether the status forbids a body: RFC 9110 §6.4.1, 1xx, 204 and 304."""
        code, _, reason = status.partition(" ")
        if len(code) != 3 or not DIGITS.issuperset(code) or not "100" <= code <= "999":
            raise AppError(f"the status {status!r} doesn't begin with a number of three digits")
        text = encode(f"HTTP/1.1 {code} {reason}", "status", status)
        start = b"%b\r\nServer: %b\r\nDate: %b\r\n" % (text, self.server.encode(), self.date.encode())
        entry = start, code in ("204", "304") or code[0] == "1"
        if len(self.starts) < 64:
            self.starts[status] = entry
        return entry

    def new_line(self, header: Header) -> bytes:
        try:
            name, value = header
        except (TypeError, ValueError):
            raise AppError(f"a header must be a tuple of name and value, not {header!r}") from None
        if not isinstance(name, str) or not isinstance(value, str):
            raise AppError(f"a header's name and value must be str, not {header!r}")
        if not is_token(name):
            raise AppError(f"the header name {name!r} is not a token")
        text = encode(value.strip(" \t"), "value of header " + name, value)
        lower = name.lower()
        if lower == "content-length":
            return self.new_length(header, text)
        if lower in OURS:
            self.hear(lower, value)
            return b""
        line = b"%b: %b\r\n" % (name.encode("ascii"), text)
        if lower not in ENDLESS and len(line) <= LONGEST_LINE:
            if len(self.lines) >= MOST_LINES:
                self.lines.clear()
            self.lines[header] = line
        return line

    def new_length(self, header: Header, text: bytes) -> bytes:
        if not text.isdigit() or len(text) > 18:
            raise AppError(f"Content-Length is {header[1]!r}, which is no number")
        if len(self.lengths) >= MOST_LINES:
            self.lengths.clear()
        line, length = self.lengths[header] = (b"Content-Length: %b\r\n" % text, int(text))
        return self.take_length(line, length)

    def take_length(self, line: bytes, length: int) -> bytes:
        """The line, once: a second Content-Length may only say the same."""
        if self.length is None:
            self.length = length
            return line
        if self.length != length:
            raise AppError("two different Content-Length headers")
        return b""

    def hear(self, name: str, value: str) -> None:
        if name == "connection":
            self.close = self.close or "close" in (option.strip() for option in value.lower().split(","))
        elif name == "upgrade":
            self.upgrade = value


def without_length(lines: list[bytes]) -> list[bytes]:
    """RFC 9110 §8.6: 1xx and 204 have no Content-Length."""
    return [line for line in lines if not line.startswith(b"Content-Length:")]


def as_tuple(header: Sequence[str]) -> Header:
    if not isinstance(header, list | tuple) or not all(type(part) is str for part in header) or len(header) != 2:
        raise AppError(f"a header must be a tuple of two str, not {header!r}")
    return header[0], header[1]


def encode(text: str, what: str, given: object) -> bytes:
    """latin-1, without control characters: whatever could start another line is refused, not repaired."""
    try:
        raw = text.encode("latin-1")
    except UnicodeEncodeError:
        raise AppError(f"the {what} is not latin-1: {given!r}") from None
    if raw.translate(None, FIELD_BYTES):
        raise AppError(f"the {what} has a control character: {given!r}")
    return raw


def error_response(status: int, detail: str, date: str, server: str, *, body: bool = True) -> bytes:
    """A whole response that says what was wrong, and closes the connection."""
    reason = REASONS.get(status, "Error")
    page = (
        f"<html>\n  <head>\n    <title>{reason}</title>\n  </head>\n  <body>\n    <h1><p>{reason}</p></h1>\n"
        f"    {escape(detail)}\n  </body>\n</html>\n"
    ).encode("utf-8", "replace")
    allow = "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n" if status == 405 else ""
    head = (
        f"HTTP/1.1 {status} {reason}\r\nServer: {server}\r\nDate: {date}\r\n{allow}Connection: close\r\n"
        f"Content-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n"
    ).encode("latin-1")
    return head + page if body else head


def escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
