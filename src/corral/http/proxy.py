"""The PROXY protocol, versions 1 and 2: what a proxy says of its client before the first byte of the connection itself.

It knows the header and which environ keys it sets; who may send one is told, and what follows is somebody else's.
"""

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

from corral.errors import PeerError
from corral.http.inbound import Inbound
from corral.http.syntax import CRLF, DIGITS, is_ipv6

Mode = Literal["v1", "v2", "auto"]

V1: Final = b"PROXY "
LONGEST_V1: Final = 107  # with its CRLF, as the specification counts
V2: Final = b"\r\n\r\n\0\r\nQUIT\n"
V2_START: Final = 16  # signature, version and command, family, length
MOST_V2: Final = 16384  # addresses and what is said beside them; certificates of clients are the largest of that
LOCAL: Final = 0x20
PROXIED: Final = 0x21
# Family and transport → the name that version 1 gives it (or would), and how long an address is. A proxy whose clients
# come by QUIC says datagram.
FAMILIES: Final = {
    0x11: ("TCP4", 4), 0x12: ("UDP4", 4), 0x21: ("TCP6", 16), 0x22: ("UDP6", 16), 0x31: ("UNIX", 108),
    0x32: ("UNIX", 108),
}  # fmt: skip


class Announcement(NamedTuple):
    """What a header says. Without a protocol it says nothing, and the peer itself is the client.

    That is so for LOCAL, UNKNOWN and UNSPEC: health checks, and clients of whom the proxy knows nothing.
    """

    protocol: str = ""  # TCP4, TCP6, UDP4, UDP6, UNIX
    source: str = ""
    source_port: str = ""
    destination: str = ""
    destination_port: str = ""
    local: bool = False  # the proxy speaks for itself

    def announce(self, own: dict[str, Any]) -> None:
        """Put it into the keys that all requests of the connection share."""
        if not self.protocol:
            return
        own["PROXY_PROTOCOL"] = self.protocol
        own["PROXY_ADDR"] = self.destination
        own["PROXY_PORT"] = self.destination_port
        if self.protocol == "UNIX":  # as for a client of a unix socket of our own
            own["REMOTE_ADDR"] = ""
            own.pop("REMOTE_PORT", None)
        else:
            own["REMOTE_ADDR"] = self.source
            own["REMOTE_PORT"] = self.source_port


NOTHING: Final = Announcement()


class HeaderReader:
    """Feed it a connection's first bytes. `allowed`: whether the peer is one of proxy_allow_ips.

    Mode auto takes both versions and connections without a header, so that it is no guard; v1 and v2 insist on theirs.
    """

    __slots__ = ("allowed", "buffer", "mode", "rest")

    def __init__(self, mode: Mode, allowed: bool) -> None:
        self.mode = mode
        self.allowed = allowed
        self.buffer = b""  # of a header that isn't whole, LONGEST_V1 or V2_START + MOST_V2 bytes at the most
        self.rest = b""  # behind the header: the connection itself

    def feed(self, data: bytes) -> Announcement | None:
        """None while the header isn't whole. Raises PeerError 400 or 403; the connection is of no further use then."""
        if not self.allowed and self.mode != "auto":
            raise forbidden()
        data = self.buffer + data
        for version, signature, read in (("v1", V1, self.read_v1), ("v2", V2, self.read_v2)):
            if self.mode not in (version, "auto"):
                continue
            if data.startswith(signature):
                if not self.allowed:
                    raise forbidden()
                return read(data)
            if signature.startswith(data):
                self.buffer = data
                return None
        if self.mode != "auto":
            raise PeerError(400, f"the connection doesn't begin with a PROXY header, {self.mode}")
        return self.end(NOTHING, data)

    def end(self, announcement: Announcement, rest: bytes) -> Announcement:
        self.buffer, self.rest = b"", rest
        return announcement

    def read_v1(self, data: bytes) -> Announcement | None:
        end = data.find(CRLF, 0, LONGEST_V1)
        if end < 0:
            if len(data) >= LONGEST_V1:
                raise PeerError(400, f"a PROXY header of more than {LONGEST_V1} bytes")
            self.buffer = data
            return None
        return self.end(read_line(data[:end].decode("latin-1")), data[end + 2 :])

    def read_v2(self, data: bytes) -> Announcement | None:
        if len(data) >= V2_START:
            command, family = data[12], data[13]
            length = int.from_bytes(data[14:16], "big")
            check_start(command, family, length)
            if len(data) >= V2_START + length:
                block, rest = data[V2_START : V2_START + length], data[V2_START + length :]
                return self.end(read_addresses(command, family, block), rest)
        self.buffer = data
        return None


def forbidden() -> PeerError:
    return PeerError(403, "a PROXY header from a peer that is not in proxy_allow_ips")


def read_line(line: str) -> Announcement:
    """PROXY SP TCP4|TCP6 SP source SP destination SP source port SP destination port; or PROXY UNKNOWN and anything."""
    words = line.split(" ")
    if words[1] == "UNKNOWN":
        return NOTHING
    if len(words) != 6:
        raise PeerError(400, "the PROXY header is not a protocol, two addresses and two ports")
    _, protocol, source, destination, source_port, destination_port = words
    is_address = {"TCP4": is_ipv4, "TCP6": is_ipv6}.get(protocol)
    if is_address is None:
        raise PeerError(400, "the PROXY header's protocol is none of TCP4, TCP6, UNKNOWN")
    if not is_address(source) or not is_address(destination):
        raise PeerError(400, "an address in the PROXY header is malformed")
    if not is_port(source_port) or not is_port(destination_port):
        raise PeerError(400, "a port in the PROXY header is malformed")
    return Announcement(protocol, source, source_port, destination, destination_port)


def is_ipv4(text: str) -> bool:
    parts = text.split(".")
    return len(parts) == 4 and all(is_number(part, 255) for part in parts)


def is_port(text: str) -> bool:
    return is_number(text, 65535)


def is_number(text: str, most: int) -> bool:
    """Decimal, without leading zeros: some would read them as octal."""
    plain = bool(text) and len(text) <= 5 and DIGITS.issuperset(text) and (text[0] != "0" or text == "0")
    return plain and int(text) <= most


def check_start(command: int, family: int, length: int) -> None:
    """Refuse at once what can't become a header, rather than wait for its end."""
    if command not in (LOCAL, PROXIED):
        raise PeerError(400, "the PROXY header's version or command is unknown")
    if command == PROXIED and (family >> 4 > 3 or family & 15 > 2):
        raise PeerError(400, "the PROXY header's family is unknown")
    if length > MOST_V2:
        raise PeerError(400, f"a PROXY header of more than {MOST_V2} bytes")


def read_addresses(command: int, family: int, block: bytes) -> Announcement:
    """The addresses at the start of `block`; the type-length-value records behind them are passed over."""
    if command == LOCAL:
        return Announcement(local=True)
    if family not in FAMILIES:  # a half of it is unspecified, and with it the whole
        return NOTHING
    protocol, size = FAMILIES[family]
    ports = 0 if protocol == "UNIX" else 2
    if len(block) < 2 * (size + ports):
        raise PeerError(400, "the PROXY header is shorter than its addresses")
    source, destination = block[:size], block[size : 2 * size]
    if protocol == "UNIX":
        return Announcement(protocol, path_of(source), "", path_of(destination), "")
    text_of = ipv4_text if size == 4 else ipv6_text
    source_port, destination_port = (str(int.from_bytes(block[at : at + 2], "big")) for at in (2 * size, 2 * size + 2))
    return Announcement(protocol, text_of(source), source_port, text_of(destination), destination_port)


def path_of(field: bytes) -> str:
    """A path, filled up with NULs. One of Linux's abstract names begins with a NUL: it is written with an @."""
    abstract = field[:1] == b"\0"
    name = field[abstract:].partition(b"\0")[0].decode("latin-1")
    return "@" + name if abstract and name else name


def ipv4_text(address: bytes) -> str:
    return ".".join(map(str, address))


def ipv6_text(address: bytes) -> str:
    """RFC 5952: groups without leading zeros, the first of the longest runs of zero groups as a double colon."""
    if address[:12] == bytes(10) + b"\xff\xff":
        return "::ffff:" + ipv4_text(address[12:])
    groups = [address[at : at + 2].hex().lstrip("0") or "0" for at in range(0, 16, 2)]
    text = ":".join(groups)
    for length in range(8, 1, -1):
        run = ["0"] * length
        for at in range(9 - length):
            if groups[at : at + length] == run:
                return ":".join(groups[:at]) + "::" + ":".join(groups[at + length :])
    return text


class AnnouncedInbound(Inbound):
    """Stands where a connection's Inbound will, until its PROXY header has come: then `enter` gets the Inbound.

    The rest of the connection's life costs what it costs without a header.
    """

    __slots__ = ("enter", "header", "inbound")

    def __init__(
        self, inbound: Inbound, enter: Callable[[Inbound], None], *, mode: Mode, allows: Callable[[str], bool]
    ) -> None:
        super().__init__(inbound.base, inbound.limits, inbound.prepare, inbound.stream, inbound.own)
        self.inbound = inbound
        self.enter = enter
        self.header = HeaderReader(mode, allows(inbound.own["REMOTE_ADDR"]))

    @property
    def between(self) -> bool:
        return False

    def receive(self, data: bytes) -> bool:
        if not self.hear(data):
            return False
        rest = self.header.rest
        return bool(rest) and self.inbound.receive(rest)

    def hear(self, data: bytes) -> bool:
        """Take `data` of the header alone; True at its end, and then `header.rest` stands behind it."""
        announcement = self.header.feed(data)
        if announcement is None:
            self.buffer = self.header.buffer  # so that it is not idle
            return False
        announcement.announce(self.inbound.own)
        self.enter(self.inbound)
        return True
