"""The access log: a format compiled once into the one expression that makes a line, and a buffer of lines.

It knows gunicorn's atoms and how to print a stranger's text without letting it forge a line; not when a request ends.

A line of the default format for a browser's request costs 1.3 µs of CPU, its share of the write included, when 64 are
flushed at once, 1.6 µs when 8 are, and 3.5 µs alone; text to escape adds 2.5 µs, and a line of JSON costs 1.9 µs more.
"""

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, NoReturn

from corral.errors import ConfigError
from corral.report.file import STDOUT, LogFile
from corral.report.line import ERROR_LOGGER

Environ = Mapping[str, Any]
Headers = Iterable[tuple[str, str]]
Escape = Callable[[object], str]
# What an expression sees, beside `pid` and a few functions; `stamp` is the second's time, as the format writes it.
PARAMETERS: Final = "environ, status, headers, sent, seconds, now, stamp"
Line = Callable[[Environ, str, Headers, int, float, float, str], bytes]
Text = Callable[[Environ, str, Headers, int, float, float, str], str]

BUFFER: Final = 16384


# The atoms


class Atom(NamedTuple):
    """One value of a line: the Python expression that makes it, and whose text it is."""

    expression: str
    number: bool = False  # takes %d and its relations
    foreign: bool = False  # text that a client or the application chose: it is checked, and escaped


def field(key: str) -> Atom:
    return Atom(f"environ.get({key!r}, '-')", foreign=True)


# A request that was refused for its request line has none.
REQUEST_LINE: Final = (
    "f\"{environ.get('REQUEST_METHOD', '-')} {environ['RAW_URI']} {environ.get('SERVER_PROTOCOL', '-')}\""
    " if 'RAW_URI' in environ else '-'"
)
ATOMS: Final = {
    "h": Atom("environ.get('REMOTE_ADDR') or '-'", foreign=True),  # '' on a unix socket
    "l": Atom("'-'"),
    "u": Atom("user(environ) if 'HTTP_AUTHORIZATION' in environ else '-'", foreign=True),
    "t": Atom("stamp"),
    "r": Atom(REQUEST_LINE, foreign=True),
    "s": Atom("status[:3] or '-'", foreign=True),
    "m": field("REQUEST_METHOD"),
    "U": field("PATH_INFO"),
    "q": field("QUERY_STRING"),
    "H": field("SERVER_PROTOCOL"),
    "B": Atom("sent", number=True),
    "b": Atom("sent or '-'"),  # the Common Log Format's way to say that there was no body
    "f": field("HTTP_REFERER"),
    "a": field("HTTP_USER_AGENT"),
    # All four agree on the microsecond; 41 ms may be 0.0409999 as a float.
    "T": Atom("round(seconds * 1e6) // 1000000", number=True),
    "D": Atom("round(seconds * 1e6)", number=True),
    "M": Atom("round(seconds * 1e6) // 1000", number=True),
    "L": Atom("'%.6f' % seconds"),
    "p": Atom("f'<{pid}>'"),
}
JSON_FIELDS: Final = {
    "time": "quote(stamp % (now % 1 * 1000))",
    "remote_addr": "quote(environ.get('REMOTE_ADDR') or None)",
    "method": "quote(environ.get('REQUEST_METHOD'))",
    "path": "quote(environ.get('PATH_INFO'))",
    "query": "quote(environ.get('QUERY_STRING'))",
    "protocol": "quote(environ.get('SERVER_PROTOCOL'))",
    "status": "code(status)",
    "bytes": "sent",
    "duration_ms": "'%.3f' % (seconds * 1e3)",
    "referer": "quote(environ.get('HTTP_REFERER'))",
    "user_agent": "quote(environ.get('HTTP_USER_AGENT'))",
    "request_id": "quote(environ.get('HTTP_X_REQUEST_ID'))",
    "pid": "pid",
    "host": "quote(environ.get('HTTP_HOST'))",
}


def named_atom(name: str) -> Atom | None:
    """`h`, or a field by its name: `{referer}i` of the request, `{etag}o` of the response, `{wsgi.url_scheme}e`."""
    key, brace, kind = name[1:].rpartition("}")
    if not (name.startswith("{") and brace and key):
        return ATOMS.get(name)
    if kind == "i":
        key = key.upper().replace("-", "_")
        return field(key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}")
    if kind == "o":
        return Atom(f"response_header(headers, {key.lower()!r})", foreign=True)
    if kind == "e":
        return Atom(f"variable(environ, {key!r}, {key.upper()!r})", foreign=True)
    return None


def user(environ: Environ) -> str:
    """The user of Basic authorization (RFC 7617), whom nobody has verified. A blank in it would shift the columns."""
    scheme, _, credentials = str(environ["HTTP_AUTHORIZATION"]).partition(" ")
    if scheme.lower() != "basic":
        return "-"
    import binascii  # lazily: few servers see such a request

    try:
        name, _, _ = binascii.a2b_base64(credentials.strip()).partition(b":")
        return name.decode().replace(" ", "%20") or "-"
    except ValueError:
        return "-"


def response_header(headers: Headers, name: str) -> str:
    found = "-"
    for key, value in headers:
        if key.lower() == name:
            found = value
    return found


def variable(environ: Environ, name: str, upper: str) -> str:
    value = environ.get(name)
    return text_of(environ.get(upper) if value is None else value)


def code(status: str) -> int | str:
    try:
        return int(status[:3])
    except ValueError:
        return "null"


def text_of(value: object) -> str:
    """An application may put anything into its environ, also what has no text."""
    if value is None:
        return "-"
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"


# Escaping. Text of clients and applications comes with one of these, or not at all.

SUSPECT: Final = frozenset((*range(32), *b'"\\', *range(127, 256)))
# Suspect bytes become 0, which counts them.
MARK: Final = bytes(0 if byte in SUSPECT else byte for byte in range(256))
CONTROLS: Final = {number: f"\\x{number:02x}" for number in (*range(32), 127)}


def encode(line: str) -> bytes:
    return line.encode("utf-8", "backslashreplace")


def suspects(line: bytes) -> int:
    return line.translate(MARK).count(0)


def escape(value: object) -> str:
    r"""As nginx and Apache do: what isn't printable ASCII is \xNN, a byte each, and so are the quote and the \.

    `replace` first: what clients really send has quotes or a backslash, and `translate` costs six times as much.
    """
    text = text_of(value)
    if "\\" in text:
        text = text.replace("\\", r"\x5c")
    if '"' in text:
        text = text.replace('"', r"\x22")
    if not text.isprintable():
        text = text.translate(CONTROLS)
    return text if text.isascii() else text.encode("ascii", "backslashreplace").decode()


def json_functions() -> tuple[Escape, Escape]:
    """`quote`, which makes a JSON string or null, and `escape`, for text between the quotes of a user's template."""
    from json.encoder import encode_basestring_ascii  # lazily: 0.3 MiB that only a JSON format needs

    def quote(value: object) -> str:
        if value is None:
            return "null"
        text = value if type(value) is str else text_of(value)
        return encode_basestring_ascii(text if text.isascii() else unicode_of(text))

    return quote, lambda value: quote(text_of(value))[1:-1]


def unicode_of(text: str) -> str:
    """PEP 3333 puts bytes into str. JSON's strings are Unicode: so bytes that are UTF-8 become what they mean."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


# From a format to a function

DIRECTIVE: Final = re.compile(r"%(?:\((?P<name>[^()]*)\))?(?P<spec>[-#0 +]*[0-9]*(?:\.[0-9]+)?)(?P<kind>.?)", re.DOTALL)


class Format(NamedTuple):
    line: Line
    stamp: Callable[[float], str]


def compile_format(layout: str, pid: int) -> Format:
    """The function that makes a line: one expression of the atoms that `layout` uses, so that no other is computed.

    The source is made of the tables above; the user's text is in it only as string constants.
    """
    if layout == "json":
        return Format(json_line(pid), iso_stamp)
    parts = list(parse(layout + "\n"))
    names: dict[str, object] = {
        "pid": pid, "escape": escape, "user": user, "response_header": response_header, "variable": variable,
    }  # fmt: skip
    if is_json(parts):
        _, names["escape"] = json_functions()
    plain = evaluate("".join(part.text for part in parts), [part.plain for part in parts if part.plain], names)
    careful = evaluate("".join(part.safe_text for part in parts), [part.careful for part in parts if part.plain], names)
    return Format(checked(plain, careful, sum(part.suspects for part in parts)), clf_stamp)


class Part(NamedTuple):
    """A piece of a format: what stands in the template of `%`, and the expression for it, plain and escaped."""

    text: str
    safe_text: str
    plain: str = ""
    careful: str = ""
    suspects: int = 0  # bytes of the format's own that would be escaped in a client's text


def parse(layout: str) -> Iterator[Part]:
    position = 0
    for match in DIRECTIVE.finditer(layout):
        constant = layout[position : match.start()]
        position = match.end()
        yield Part(constant, constant, suspects=suspects(encode(constant)))
        if match[0] == "%%":
            yield Part("%%", "%%")
        else:
            yield directive(match)
    yield Part(layout[position:], layout[position:], suspects=suspects(encode(layout[position:])))


def directive(match: re.Match[str]) -> Part:
    """`%(h)s`; also with a width, as in `%(s)5s` or `%(D)010d`."""
    name, spec, kind = match["name"], match["spec"], match["kind"]
    if name is None:
        refuse(match, f"write %({kind})s" if kind in ATOMS else "a percent sign is written %%")
    atom = named_atom(name)
    if atom is None:
        refuse(match, f"there is no atom {name!r}; there are {' '.join(ATOMS)} {{header}}i {{header}}o {{variable}}e")
    if kind not in (tuple("sdiufFeEgGxXo") if atom.number else ("s",)):
        refuse(match, f"write %({name})s" if not atom.number else f"write %({name})s or %({name})d")
    text = f"%{spec}{kind}"
    plain = f"({atom.expression})"
    if not atom.foreign:
        return Part(text, text, plain, plain)
    # A width cuts before the escape: half an escape sequence would take the next character in.
    return Part(text, "%s", plain, f"escape({text!r} % ({atom.expression},))" if spec else f"escape({plain})")


def refuse(match: re.Match[str], hint: str) -> NoReturn:
    raise ConfigError(f"access_log_format: {match[0].rstrip()!r} at character {match.start() + 1}: {hint}")


def all_atoms() -> Callable[..., dict[str, Any]]:
    """A function of PARAMETERS and the pid that makes every atom of the table, for who wants them by name."""
    items = "".join(f"{name!r}: {atom.expression}, " for name, atom in ATOMS.items())
    made: Callable[..., dict[str, Any]] = eval(f"lambda {PARAMETERS}, pid: {{{items}}}", {"user": user})
    return made


def evaluate(template: str, expressions: list[str], names: dict[str, object]) -> Text:
    """Python makes an f-string of a constant template with a tuple behind it, when it compiles this."""
    values = "".join(f"{expression}, " for expression in expressions)
    made: Text = eval(f"lambda {PARAMETERS}: {template!r} % ({values})", names)
    return made


def checked(plain: Text, careful: Text, own: int) -> Line:
    """Make the line as if all text were clean; if it has more to escape than the format itself, make it again.

    One look at the whole line, at C speed (0.3 µs), costs less than one at each of its values.
    """

    def line(
        environ: Environ, status: str, headers: Headers, sent: int, seconds: float, now: float, stamp: str
    ) -> bytes:
        made = plain(environ, status, headers, sent, seconds, now, stamp).encode("utf-8", "backslashreplace")
        if made.translate(MARK).count(0) == own:
            return made
        return encode(careful(environ, status, headers, sent, seconds, now, stamp))

    return line


def is_json(parts: list[Part]) -> bool:
    """Whether a format is written to make JSON objects, as many are; then text in it is escaped as JSON wants it."""
    template = "".join(part.text for part in parts)
    if not template.startswith("{"):
        return False
    import json  # lazily: only such a format needs it

    try:
        return isinstance(json.loads(template % tuple(0 for part in parts if part.plain)), dict)
    except ValueError:
        return False


def json_line(pid: int) -> Line:
    quote, _ = json_functions()
    template = ",".join(f'"{key}":%s' for key in JSON_FIELDS)
    text = evaluate(f"{{{template}}}\n", list(JSON_FIELDS.values()), {"pid": pid, "quote": quote, "code": code})
    return lambda *values: text(*values).encode()


# Time

# Not strftime's %b, which speaks whatever language the application chose with setlocale().
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def clf_stamp(now: float) -> str:
    local = time.localtime(now)
    return time.strftime(f"[%d/{MONTHS[local.tm_mon - 1]}/%Y:%H:%M:%S %z]", local)


def iso_stamp(now: float) -> str:
    """ISO 8601, with a place for the milliseconds."""
    local = time.localtime(now)
    zone = time.strftime("%z", local)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}.%03d{zone[:3]}:{zone[3:5]}"


# The log


class AccessLog:
    """Lines, gathered until the event loop has served all that was ready, then appended with one system call.

    Threads may add lines at the same time; one at a time writes.
    """

    __slots__ = ("file", "format", "line", "lines", "lock", "since", "size", "stamp", "until")

    def __init__(self, target: str, layout: str, *, own_pid: int | None = None) -> None:
        self.format = compile_format(layout, os.getpid() if own_pid is None else own_pid)
        self.line = self.format.line
        self.file = LogFile("accesslog", target, STDOUT)
        self.lines: list[bytes] = []
        self.size = 0
        self.lock = threading.Lock()
        self.since = self.until = 0.0  # the second that `stamp` is for
        self.stamp = ""

    def request(self, environ: Environ, status: str, headers: Headers, sent: int, seconds: float, now: float) -> None:
        """A request has ended: `status` as in "200 OK", `sent` bytes of body, after `seconds`, at the epoch's `now`."""
        if not self.since <= now < self.until:
            self.since = now // 1
            self.until = self.since + 1
            self.stamp = self.format.stamp(now)
        line = self.line(environ, status, headers, sent, seconds, now, self.stamp)
        self.lines.append(line)
        self.size += len(line)
        if self.size > BUFFER:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered. To a pipe in pieces that it takes whole: other processes write to it as well."""
        if not self.lines and not self.file.pending:
            return
        with self.lock:
            lines = self.lines[:]
            del self.lines[: len(lines)]  # the same list, always: a thread may be about to append to it
            self.size = 0
            failed_before = self.file.failure
            whole = b"".join(lines)
            if len(whole) <= self.file.at_once:
                lost = self.file.write(whole)
            else:
                lost = sum(self.file.write(piece) for piece in pieces(lines, self.file.at_once))
            failure = self.file.failure
        if failure and not failed_before:
            self.tell(logging.ERROR, "accesslog %r can't be written: %s", self.file.path, failure)
        if lost:
            self.tell(logging.WARNING, "accesslog %r can be written again; %d lines were lost", self.file.path, lost)

    def reopen(self) -> None:
        """After a rotation: what was gathered belongs to the old file."""
        self.flush()
        failure = self.file.reopen()
        if failure:
            self.tell(logging.ERROR, "%s", failure)

    def close(self) -> None:
        self.flush()
        self.file.close()

    def tell(self, level: int, message: str, *values: object) -> None:
        logging.getLogger(ERROR_LOGGER).log(level, message, *values)


def pieces(lines: list[bytes], limit: int) -> Iterator[bytes]:
    """The lines, joined to pieces of at most `limit` bytes; a line that is longer is a piece of its own."""
    start = size = 0
    for end, line in enumerate(lines):
        if size and size + len(line) > limit:
            yield b"".join(lines[start:end])
            start, size = end, 0
        size += len(line)
    yield b"".join(lines[start:])
