"""Heads of clients that break RFC 9112 in ways which a setting permits: each is put right first and then read strictly.

It knows how a head is repaired; what passes here passes every check of head.py as well. What frames a message is never
repaired: a proxy in front that reads such a line another way would see other requests in the same bytes.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from corral.errors import PeerError
from corral.http.head import HTTP_1_0, HTTP_1_1, LONGEST_LINE, VERSIONS, Limits, RequestLine, bad_version
from corral.http.inbound import Inbound
from corral.http.syntax import CRLF, LONGEST_METHOD, METHOD_LETTERS, is_token

LONGEST_ODD_METHOD: Final = 255
BLANKS: Final = b" \t"
FRAMING_NAMES: Final = frozenset((b"content-length", b"transfer-encoding"))


class Leniency(NamedTuple):
    """What is permitted, by the settings permit_obsolete_folding, strip_header_spaces and so on."""

    folding: bool = False
    spaces: bool = False
    method: bool = False
    version: bool = False
    casefold: bool = False


class LenientInbound(Inbound):
    """An Inbound for such clients. Others pay nothing; these pay 1 to 3 µs for a line or a block that isn't known."""

    __slots__ = ("leniency", "protocol")
    shapes = None  # a block is to be repaired before it is read

    def __init__(
        self,
        base: dict[str, Any],
        limits: Limits,
        prepare: Callable[[dict[str, Any]], None],
        stream: bool = False,
        own: dict[str, Any] | None = None,
        *,
        leniency: Leniency,
    ) -> None:
        super().__init__(base, limits, prepare, stream, own)
        self.leniency = leniency
        self.protocol = ""  # the version as it came, if it is none of the two that are spoken

    def new_line(self, first: bytes) -> RequestLine:
        parts = first.split(b" ")
        if len(parts) != 3 or len(first) > (self.limits.line or LONGEST_LINE):
            return super().new_line(first)
        method, target, version = parts
        if self.leniency.casefold:
            method = method.upper()
        if self.leniency.version and version not in VERSIONS:
            self.protocol = version.decode("latin-1")
            self.version = ""  # SERVER_PROTOCOL differs though the block of fields may be the last one's
            version = nearest_version(version)
        if not self.leniency.method or is_usual(method):
            return super().new_line(b" ".join((method, target, version)))
        # Any other token is what GET is to a parser: a name. Only OPTIONS and CONNECT have targets of their own.
        check_odd_method(method)
        line = super().new_line(b" ".join((b"GET", target, version)))
        return method.decode("ascii"), *line[1:]

    def read_block(self, block: bytes, line: RequestLine) -> None:
        try:
            block = repair(block, self.leniency, self.limits)
        except PeerError as error:
            error.line = line
            raise
        super().read_block(block, line)
        if self.protocol:
            self.fields["SERVER_PROTOCOL"], self.protocol = self.protocol, ""


def is_usual(method: bytes) -> bool:
    return len(method) <= LONGEST_METHOD and METHOD_LETTERS.issuperset(method.decode("latin-1"))


def check_odd_method(method: bytes) -> None:
    if not is_token(method.decode("latin-1")):
        raise PeerError(400, "the method is not a token")
    if len(method) > LONGEST_ODD_METHOD:
        raise PeerError(501, f"a method of more than {LONGEST_ODD_METHOD} letters")


def nearest_version(version: bytes) -> bytes:
    """RFC 9110 §2.5: a higher minor version is understood like the highest that is known."""
    if bad_version(version).status == 400:
        raise bad_version(version)
    name = HTTP_1_1 if version[5:] >= b"1.1" else HTTP_1_0
    return name.encode("ascii")


def repair(block: bytes, leniency: Leniency, limits: Limits) -> bytes:
    """`block` without folded lines and blanks before colons, as far as they are permitted."""
    if len(block) > limits.block:  # it will be shorter, but was kept as it came
        raise PeerError(431, f"fields of more than {limits.block} bytes together")
    if leniency.folding and (b"\r\n " in block or b"\r\n\t" in block):
        block = unfold(block)
    if leniency.spaces and (b" :" in block or b"\t:" in block):
        block = CRLF.join(map(strip_name, block.split(CRLF)))
    return block


def unfold(block: bytes) -> bytes:
    """RFC 9112 §5.2: a line that begins with a blank goes on with the value of the one before it.

    The first can't be one (§2.2): it stays as it is, and is refused like any name that is no token. Lines are joined at
    the end, not one by one: a thousand folds of one field would copy it a thousand times.
    """
    fields: list[list[bytes]] = []
    for line in block.split(CRLF):
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1].append(line.strip(BLANKS))
        else:
            fields.append([line])
    return CRLF.join([pieces[0] if len(pieces) == 1 else join_folds(pieces) for pieces in fields])


def join_folds(pieces: list[bytes]) -> bytes:
    if b":" not in pieces[0]:
        raise PeerError(400, "a field is folded before its colon")
    if any(frames(piece) for piece in pieces):  # also one that a proxy would see if it drops the blanks before it
        raise PeerError(400, "a field that frames the body is folded")
    pieces[0] = pieces[0].rstrip(BLANKS)
    return b" ".join(filter(None, pieces))


def frames(line: bytes) -> bool:
    name, colon, _ = line.partition(b":")
    return bool(colon) and name.strip(BLANKS).lower() in FRAMING_NAMES


def strip_name(line: bytes) -> bytes:
    name, colon, value = line.partition(b":")
    stripped = name.rstrip(BLANKS)
    if len(stripped) != len(name) and frames(line):
        raise PeerError(400, "a field that frames the body has a blank before its colon")
    return stripped + colon + value
