"""Requests in uwsgi's binary protocol, as nginx's uwsgi_pass sends them: an alternative Inbound for a connection.

It knows the packet, and which of its variables are the request; it must not know who may send one: that is told.

A packet is modifier1, its size in two bytes (little-endian), modifier2; then names and values, each behind its own size
in two bytes; then the body, as long as CONTENT_LENGTH says. The answer is HTTP: a status line, fields, and a body that
ends with the connection unless it has a Content-Length. nginx takes no chunks here and asks once a connection, so a
request counts as HTTP/1.0 for whoever frames the answer, while SERVER_PROTOCOL is what the client spoke to nginx.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from corral.errors import PeerError
from corral.http.head import (
    HTTP_1_0,
    LAST,
    LONGEST_LINE,
    METHODS,
    Framing,
    Limits,
    new_host,
    new_method,
    read_content_length,
    repeat_field,
)
from corral.http.inbound import HEAD, NAMES, Inbound
from corral.http.syntax import FIELD_BYTES, TARGET_BYTES, is_token, percent_decode

PACKET_START: Final = 4  # bytes before the variables; their size, two bytes, bounds them at 64 KiB
MOST_VARIABLES: Final = 1000
MEANINGLESS: Final = ("HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "")  # nginx sends the two fields twice
MEANINGLESS_EMPTY: Final = ("CONTENT_LENGTH", "CONTENT_TYPE", "SERVER_NAME", "SERVER_PORT")
MOST_KEYS: Final = 1024
LONGEST_KEY: Final = 64
_keys: dict[bytes, str] = {}  # names that have passed; a stranger can't fill it beyond MOST_KEYS
PROTOCOL: Final = re.compile(r"HTTP/[0-9](?:\.[0-9])?")  # of nginx's client: HTTP/2.0 and HTTP/3.0 too
TRUE: Final = frozenset(("on", "1", "true", "yes"))


class UwsgiInbound(Inbound):
    """`allows`: whether the peer at an address is one of uwsgi_allow_ips."""

    __slots__ = ("allowed",)

    def __init__(
        self,
        base: dict[str, Any],
        limits: Limits,
        prepare: Callable[[dict[str, Any]], None],
        stream: bool = False,
        own: dict[str, Any] | None = None,
        *,
        allows: Callable[[str], bool],
    ) -> None:
        super().__init__(base, limits, prepare, stream, own)
        self.allowed = allows(self.own["REMOTE_ADDR"])

    def receive(self, data: bytes) -> bool:
        if not self.allowed:
            raise PeerError(403, "a uwsgi request from a peer that is not in uwsgi_allow_ips")
        if self.phase is not HEAD:
            return self.receive_body(data)
        buffer = self.buffer
        if buffer:
            if not isinstance(buffer, bytearray):
                self.buffer = buffer = bytearray(buffer)
            buffer += data
        else:
            self.buffer = buffer = data
        if buffer[0] != 0:  # the first byte of HTTP is a letter, that of TLS is 22
            raise PeerError(400, f"no uwsgi request: modifier1 is {buffer[0]}, and only 0 is understood")
        end = PACKET_START + int.from_bytes(buffer[1:3], "little")
        if len(buffer) < PACKET_START or len(buffer) < end:
            return False
        packet = bytes(buffer)
        self.buffer = b""
        self.read_request(read_variables(packet[PACKET_START:end]))
        return self.begin(packet[end:])

    def read_request(self, variables: dict[str, str]) -> None:
        protocol = variables.setdefault("SERVER_PROTOCOL", HTTP_1_0)
        method, target, path, query = read_line(variables)
        self.line = method, target, path, query, HTTP_1_0, None
        self.line_bytes = f"{method} {target} {protocol}".encode("latin-1")
        try:
            limit = self.limits.line or LONGEST_LINE
            if len(self.line_bytes) > limit:
                raise PeerError(414, f"a request line of more than {limit} bytes")
            self.framing = read_framing(variables, self.limits)
            self.fields = self.base | self.own | variables
            if not NAMES.notable.isdisjoint(variables):
                self.prepare(self.fields)
        except PeerError as error:
            error.line = self.line
            raise
        # What the proxy says of itself outranks what `prepare` concludes from its client's fields.
        for key in ("SERVER_NAME", "SERVER_PORT"):
            if key in variables:
                self.fields[key] = variables[key]
        if is_https(variables):
            self.fields["wsgi.url_scheme"] = "https"


def read_variables(block: bytes) -> dict[str, str]:
    """The names and values of a packet, 0.3 µs each. nginx names also what a request hasn't, with nothing in it."""
    variables: dict[str, str] = {}
    fields: list[bytes] = []
    at, end, count = 0, len(block), 0
    try:
        while at < end:
            stop = at + 2 + (block[at] | block[at + 1] << 8)
            name = block[at + 2 : stop]
            at = stop + 2 + (block[stop] | block[stop + 1] << 8)
            value = block[stop + 2 : at]
            count += 1
            key = _keys.get(name)
            if key is None:
                key = new_key(name)
            if key[:5] == "HTTP_":
                fields.append(value)
            if key in variables:
                repeat_variable(key, value.decode("latin-1"), variables)
            else:
                variables[key] = value.decode("latin-1")
    except IndexError:
        at = -1
    if at != end:
        raise PeerError(400, "a uwsgi variable goes beyond its packet")
    if count > MOST_VARIABLES:
        raise PeerError(400, f"more than {MOST_VARIABLES} uwsgi variables")
    if b"".join(fields).translate(None, FIELD_BYTES):
        raise PeerError(400, "a field has a control character")
    for key in MEANINGLESS:
        variables.pop(key, None)
    for key in MEANINGLESS_EMPTY:
        if variables.get(key) == "":
            del variables[key]
    return variables


def new_key(name: bytes) -> str:
    """The environ key for a name that isn't known yet; "" for one that is the server's own, such as wsgi.input."""
    key = name.decode("latin-1")
    if not is_token(key):
        raise PeerError(400, "the name of a uwsgi variable is not a token")
    if "." in key:
        key = ""
    if len(_keys) < MOST_KEYS and len(name) <= LONGEST_KEY:
        _keys[name] = key
    return key


def repeat_variable(key: str, value: str, variables: dict[str, str]) -> None:
    """A parameter that is set twice in nginx's files has its last value; a field that came twice has both."""
    if key.startswith("HTTP_"):
        repeat_field(key, value, variables)
        return
    if key == "CONTENT_LENGTH" and variables[key] != value:
        raise PeerError(400, "Content-Length stands twice")
    variables[key] = value


def read_line(variables: dict[str, str]) -> tuple[str, str, str, str]:
    """Method, target as it came, path, query. The path has SCRIPT_NAME before it, as every request's of this server."""
    raw = variables.get("REQUEST_METHOD", "").encode("latin-1")
    method = METHODS.get(raw)
    if method is None:
        if not is_token(raw.decode("latin-1")):
            raise PeerError(400, "REQUEST_METHOD is not a token")
        method = new_method(raw)
    if not PROTOCOL.fullmatch(variables["SERVER_PROTOCOL"]):
        raise PeerError(400, "SERVER_PROTOCOL is malformed")
    path, query = variables.get("PATH_INFO"), variables.get("QUERY_STRING")
    target = variables.get("REQUEST_URI")
    if target is None:
        if path is None:
            raise PeerError(400, "neither REQUEST_URI nor PATH_INFO")
        # Nobody has said how the client wrote it.
        target = percent_encode(variables.get("SCRIPT_NAME", "") + path) + ("?" + query if query else "")
    if not target or target.encode("latin-1").translate(None, TARGET_BYTES):
        raise PeerError(400, "REQUEST_URI has a character that must be percent-encoded")
    bare, _, behind = target.partition("?")
    if path is None:
        path = percent_decode(bare)
    else:
        path = variables.get("SCRIPT_NAME", "") + path
    return method, target, path, behind if query is None else query


def percent_encode(path: str) -> str:
    return "".join(
        letter if letter not in "%?#" and " " < letter < "\x7f" else f"%{ord(letter):02X}" for letter in path
    )


def read_framing(variables: dict[str, str], limits: Limits) -> Framing:
    """Only CONTENT_LENGTH says where the body ends: nginx has taken any chunks apart."""
    if "HTTP_HOST" in variables:
        new_host(variables["HTTP_HOST"])
    coding = variables.pop("HTTP_TRANSFER_ENCODING", None)
    if "CONTENT_LENGTH" not in variables:
        if coding is not None:
            raise PeerError(400, "a body of unknown length: uwsgi has no chunks")
        return LAST
    length = read_content_length(variables["CONTENT_LENGTH"], limits)
    return Framing(length, keep_alive=False) if length else LAST


def is_https(variables: dict[str, str]) -> bool:
    for key in ("UWSGI_SCHEME", "REQUEST_SCHEME"):
        if key in variables and variables[key].lower() == "https":
            return True
    return "HTTPS" in variables and variables["HTTPS"].lower() in TRUE
