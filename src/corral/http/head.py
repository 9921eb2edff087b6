"""The head of a request: its line and its fields, checked, and what they say of the body and of the connection.

It knows RFC 9110 §5–§10 and RFC 9112 §2–§6 and nothing of who asks. A head passes whole or raises a PeerError with its
status; no two servers in a chain may read it differently, so everything ambiguous is refused, not repaired.
"""

from typing import Any, Final, NamedTuple

from corral.errors import PeerError
from corral.http.syntax import (
    ABSOLUTE,
    AUTHORITY,
    DIGITS,
    FIELD_BYTES,
    LONGEST_METHOD,
    METHOD_LETTERS,
    TARGET_BYTES,
    is_host,
    is_token,
    only_line_ends,
    percent_decode,
)

LONGEST_LINE: Final = 1 << 20  # where a setting says that there is no limit
LONGEST_BLOCK: Final = 65536


class Limits(NamedTuple):
    """What a stranger may make grow, 0 is no limit of its own; a head as a whole is always bounded."""

    line: int = 4094
    fields: int = 100
    field_size: int = 8190
    body: int = 0

    @property
    def block(self) -> int:
        """The most bytes of all fields together: many small ones or a few large ones, not many large ones."""
        most = max(LONGEST_BLOCK, 4 * self.field_size)
        return min(self.fields * (self.field_size + 2), most) if self.fields and self.field_size else most

    @property
    def head(self) -> int:
        """The most bytes of an unfinished head that are kept: an empty line before it, and four line ends."""
        return (self.line or LONGEST_LINE) + self.block + 8


# (method, target as it came, path percent-decoded with its bytes as latin-1, query, version, authority or None). The
# version is always one of the two objects below; the authority is that of an absolute-form target, which outranks Host
# (RFC 9112 §3.2.2). A plain tuple: a named one costs 0.3 µs more to make.
RequestLine = tuple[str, str, str, str, str, str | None]

HTTP_1_1: Final = "HTTP/1.1"
HTTP_1_0: Final = "HTTP/1.0"
VERSIONS: Final = {b"HTTP/1.1": HTTP_1_1, b"HTTP/1.0": HTTP_1_0}


METHODS: Final[dict[bytes, str]] = {}  # those that have passed; a stranger can't fill it beyond MOST_METHODS
MOST_METHODS: Final = 64


def read_request_line(line: bytes) -> RequestLine:
    """method SP request-target SP HTTP-version (RFC 9112 §3). Raises PeerError 400, 405, 501 or 505."""
    parts = line.split(b" ")
    if len(parts) != 3:
        raise PeerError(400, "the request line is not method, target and version with one space between")
    raw_method, raw_target, raw_version = parts
    method = METHODS.get(raw_method)
    if method is None and not is_token(raw_method.decode("latin-1")):
        raise PeerError(400, "the method is not a token")
    version = VERSIONS.get(raw_version)
    if version is None:
        raise bad_version(raw_version)
    if not raw_target or raw_target.translate(None, TARGET_BYTES):
        raise PeerError(400, "the request target has a character that must be percent-encoded")
    if method is None:
        method = new_method(raw_method)
    target = raw_target.decode("ascii")
    if target[0] == "/" and method != "CONNECT":
        path, _, query = target.partition("?")
        return method, target, percent_decode(path) if "%" in path else path, query, version, None
    path, query, authority = read_target(method, target)
    return method, target, path, query, version, authority


def bad_version(version: bytes) -> PeerError:
    if (
        len(version) == 8
        and version[:5] == b"HTTP/"
        and version[5:6].isdigit()
        and version[6:7] == b"."
        and version[7:].isdigit()
    ):
        return PeerError(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    return PeerError(400, "the version is malformed")


def new_method(raw: bytes) -> str:
    """RFC 9110 §9.1: methods are case-sensitive; one that nobody implements is 501."""
    method = raw.decode("ascii")
    if len(method) > LONGEST_METHOD or not METHOD_LETTERS.issuperset(method):
        raise PeerError(501, "the method is not implemented")
    if len(METHODS) < MOST_METHODS:
        METHODS[raw] = method
    return method


def read_target(method: str, target: str) -> tuple[str, str, str | None]:
    """The other three forms of RFC 9112 §3.2 → (path, query, authority)."""
    if method == "CONNECT":
        if not AUTHORITY.fullmatch(target):
            raise PeerError(400, "CONNECT takes host:port")
        # This is no proxy: RFC 9110 §9.3.6 leaves CONNECT to those.
        raise PeerError(405, "CONNECT is not for an origin server")
    if target == "*":
        if method != "OPTIONS":
            raise PeerError(400, "the target * is for OPTIONS only")
        return "*", "", None
    absolute = ABSOLUTE.fullmatch(target)
    if not absolute or not is_host(absolute[1]) or absolute[1][0] == ":":
        raise PeerError(400, "the request target has none of the four forms")
    return percent_decode(absolute[2] or "/"), absolute[3] or "", absolute[1]


HOSTS: Final[set[str]] = set()  # those that have passed; a pattern costs 0.4 µs
MOST_HOSTS: Final = 256
LONGEST_HOST: Final = 128
OPTIONS: Final[dict[str, tuple[bool, bool, bool]]] = {}  # of Connection, as clients write them
MOST_OPTIONS: Final = 64


class Framing(NamedTuple):
    """What a head says of the body behind it and of the connection's future."""

    length: int = 0  # bytes; CHUNKED if only the chunks will tell
    keep_alive: bool = True
    expects: bool = False  # the client waits for 100 Continue (RFC 9110 §10.1.1)
    upgrade: bool = False


CHUNKED: Final = -1
PLAIN: Final = Framing()  # nearly every request: no body, the connection goes on
LAST: Final = Framing(keep_alive=False)


class FieldNames(dict[str, str]):
    """Field names as clients spell them → CGI keys (RFC 3875 §4.1.18), each checked once.

    A stranger can send endless names: beyond `MOST` a new one is checked each time and not kept.
    """

    MOST = 1024
    LONGEST = 64

    def __init__(self) -> None:
        super().__init__()
        self.marked: dict[str, str] = {}  # the same with their colons: what stands before a line's first blank
        self.notable: set[str] = set()  # keys that the gateway wants to hear of
        self.underscored = False  # whether a name with an underscore has ever come
        self.noticed = False  # whether one of them, or a name with an underscore, has ever come

    def learn(self, name: str) -> str:
        """The key for a name that is not known yet.

        Raises PeerError 400 if it is no token: an empty name, blanks before the colon, and a folded line end here
        (RFC 9112 §5.1, §5.2).
        """
        if not is_token(name):
            raise PeerError(400, "a field name is not a token, or the line is folded")
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = "HTTP_" + key
        if "_" in name:
            # X_Real_IP and X-Real-IP would become one key, so that a client could forge what a proxy sets: kept apart
            # under the name as it came (a key no header can have), for the gateway to judge by the peer.
            key = "_" + name.upper()
            self.noticed = self.underscored = True
        elif key in self.notable:
            self.noticed = True
        if len(self) < self.MOST and len(name) <= self.LONGEST:
            self[name] = key
            self.marked[name + ":"] = key
        return key


def read_fields(block: bytes, into: dict[str, Any], names: FieldNames, limits: Limits) -> None:
    """Fill `into` with CGI keys and values from the lines of `block` (without its last CRLF).

    The whole block is checked by one `translate` and decoded once; then a line costs 0.15 µs. A cache of lines (0.1 µs
    on a hit) was tried: real traffic misses it too often, a miss costs 0.9 µs, and strangers can churn it.
    """
    text = block.decode("latin-1")
    lines = text.split("\r\n")
    count = len(lines)
    if not only_line_ends(block.translate(None, FIELD_BYTES), count - 1):
        raise PeerError(400, "a field has a control character, or a line doesn't end in CRLF")
    if count > limits.fields and limits.fields:
        raise PeerError(431, f"more than {limits.fields} fields")
    if len(block) > limits.field_size:
        check_sizes(block, lines, limits)
    before = len(into)
    known = names.marked
    if text.isascii():  # so that strip() means blanks and tabs: what else it means has been refused above, or is U+00A0
        try:
            for line in lines:
                name, _, value = line.partition(" ")
                into[known[name]] = value.strip()
            if len(into) == before + count:
                return
        except KeyError:
            pass  # a new name, or something else than one blank behind it
    read_unusual_fields(lines, into, names, before)


def check_sizes(block: bytes, lines: list[str], limits: Limits) -> None:
    if limits.field_size and max(map(len, lines)) > limits.field_size:
        raise PeerError(431, f"a field of more than {limits.field_size} bytes")
    if len(block) > limits.block:
        raise PeerError(431, f"fields of more than {limits.block} bytes together")


def read_unusual_fields(lines: list[str], into: dict[str, Any], names: FieldNames, before: int) -> None:
    """The same for any block: new names, repeated fields, values between blanks or right behind their colon."""
    while len(into) > before:  # what the quick way has put there
        into.popitem()
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise PeerError(400, "a field line has no colon")
        key = names.get(name) or names.learn(name)
        if key in into:
            repeat_field(key, value, into)
        else:
            into[key] = value.strip(" \t")


def repeat_field(key: str, value: str, into: dict[str, Any]) -> None:
    """A field that came before (RFC 9110 §5.3): joined by a comma, unless it may stand only once."""
    if key in ("HTTP_HOST", "CONTENT_LENGTH", "CONTENT_TYPE"):
        raise PeerError(400, f"{key.removeprefix('HTTP_').replace('_', '-').title()} stands twice")
    # RFC 9110 §5.3 excepts cookies: RFC 6265 §5.4 separates them by a semicolon.
    separator = "; " if key == "HTTP_COOKIE" else ","
    into[key] += separator + value.strip(" \t")


def read_framing(fields: dict[str, Any], line: RequestLine, limits: Limits) -> Framing:
    """RFC 9112 §6.3 and §9.3 for a request whose fields have been read. Raises PeerError 400, 413, 417 or 501."""
    modern = line[4] is HTTP_1_1
    host = fields.get("HTTP_HOST")
    if host is None:
        if modern:  # RFC 9112 §3.2: MUST respond with 400
            raise PeerError(400, "HTTP/1.1 requires Host")
    elif host not in HOSTS:
        new_host(host)
    length = 0
    if "HTTP_TRANSFER_ENCODING" in fields:
        length = read_transfer_encoding(fields, modern)
    elif "CONTENT_LENGTH" in fields:
        length = read_content_length(fields["CONTENT_LENGTH"], limits)
    connection = fields.get("HTTP_CONNECTION")
    keep_alive, upgrade = modern, False
    if connection is not None:
        close, keeps, upgrades = OPTIONS.get(connection) or new_options(connection)
        keep_alive = not close and (modern or keeps)
        upgrade = modern and upgrades and "HTTP_UPGRADE" in fields  # RFC 9110 §7.8: never in HTTP/1.0
    expects = False
    if "HTTP_EXPECT" in fields and modern:  # RFC 9110 §10.1.1: ignored in HTTP/1.0
        if fields["HTTP_EXPECT"].lower() != "100-continue":
            raise PeerError(417, "the only expectation that can be met is 100-continue")
        expects = True
    if length == 0 and not upgrade:
        return PLAIN if keep_alive else LAST
    return Framing(length, keep_alive, expects and length != 0, upgrade)


def new_options(connection: str) -> tuple[bool, bool, bool]:
    """Connection's options (RFC 9110 §7.6.1): whether it has close, keep-alive, upgrade."""
    options = [option.strip(" \t") for option in connection.lower().split(",")]
    found = "close" in options, "keep-alive" in options, "upgrade" in options
    if len(OPTIONS) < MOST_OPTIONS and len(connection) < 64:
        OPTIONS[connection] = found
    return found


def new_host(host: str) -> None:
    if not is_host(host):
        raise PeerError(400, "Host is malformed")
    if len(HOSTS) < MOST_HOSTS and len(host) < LONGEST_HOST:
        HOSTS.add(host)


def read_content_length(value: str, limits: Limits) -> int:
    """RFC 9110 §8.6: digits, once. A list of equal numbers may be repaired by RFC 9112 §6.3; here it is refused."""
    if not value or not DIGITS.issuperset(value) or len(value) > 18:
        raise PeerError(400, "Content-Length is not one number")
    length = int(value)
    if limits.body and length > limits.body:
        raise PeerError(413, f"the body is larger than {limits.body} bytes")
    return length


def read_transfer_encoding(fields: dict[str, Any], modern: bool) -> int:
    """RFC 9112 §6.1: chunked, alone and once. Everything else is either smuggling (400) or not implemented (501)."""
    if not modern:
        raise PeerError(400, "Transfer-Encoding in HTTP/1.0")
    if "CONTENT_LENGTH" in fields:
        raise PeerError(400, "Transfer-Encoding together with Content-Length")
    codings = [coding.strip(" \t").lower() for coding in fields["HTTP_TRANSFER_ENCODING"].split(",")]
    if codings == ["chunked"]:
        return CHUNKED
    if codings.count("chunked") > 1 or ("chunked" in codings and codings[-1] != "chunked") or "" in codings:
        raise PeerError(400, "chunked must be the last transfer coding, once")
    raise PeerError(501, "chunked is the only transfer coding that is understood")
