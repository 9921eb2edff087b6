"""The grammar of RFC 9110 and RFC 9112 as tables. It knows which bytes may stand where, and not why.

Nothing here is a regular expression on the hot path: `bytes.translate(None, ALLOWED)` leaves exactly the bytes
that are not allowed, at a nanosecond a byte, where a pattern costs ten.
"""

import re
from typing import Final

CRLF: Final = b"\r\n"
END_OF_HEAD: Final = b"\r\n\r\n"

# RFC 9110 §5.6.2: token
TOKEN: Final = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
# RFC 9110 §5.5: field-content is VCHAR, obs-text, SP and HTAB; every other control character is refused.
FIELD_BYTES: Final = bytes([9, *range(32, 127), *range(128, 256)])
# RFC 9112 §3.2: a target has no blanks and no controls; raw non-ASCII bytes must be percent-encoded (RFC 3986 §2.1);
# a fragment is never sent. RFC 3986 would also refuse `"<>\^`{|}`, which browsers do send: those pass.
TARGET_BYTES: Final = bytes(byte for byte in range(33, 127) if byte != ord("#"))
# Methods as they are registered: upper case, digits, hyphen. Others are tokens, but nobody implements them.
METHOD_LETTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
LONGEST_METHOD: Final = 20
DIGITS: Final = frozenset("0123456789")
HEX: Final = b"0123456789abcdefABCDEF"
# RFC 9110 §7.2, RFC 3986 §3.2.2: uri-host [ ":" port ], where a host may be empty, a name, IPv4 or a bracketed IPv6.
HOST: Final = re.compile(
    r"(?:\[([0-9A-Fa-f:.]+)\]|\[v[0-9A-Fa-f]+\.[A-Za-z0-9_.~!$&'()*+,;=:-]+\]"
    r"|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]{0,5})?"
)
# RFC 9112 §3.2.2: scheme "://" authority path; the authority has no userinfo (RFC 9110 §4.2.4).
ABSOLUTE: Final = re.compile(r"https?://([^/?]+)(/[^?]*)?(?:\?(.*))?", re.IGNORECASE | re.DOTALL)
AUTHORITY: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+):[0-9]{1,5}")

# A run of n line ends, which is what must be left of a block of n + 1 lines once the allowed bytes are taken out.
LINE_ENDS: Final = tuple(CRLF * count for count in range(256))


def only_line_ends(left: bytes, count: int) -> bool:
    """Whether `left`, a block without its allowed bytes, is `count` times CRLF: no bare CR or LF, no control."""
    return left == (LINE_ENDS[count] if count < 256 else CRLF * count)


def is_token(text: str) -> bool:
    return bool(text) and TOKEN.issuperset(text)


def is_host(text: str) -> bool:
    match = HOST.fullmatch(text)
    return match is not None and (match[1] is None or is_ipv6(match[1]))


def is_ipv6(text: str) -> bool:
    """IPv6address of RFC 3986 §3.2.2, for a text of hexadecimal digits, colons and dots."""
    head, gap, tail = text.partition("::")
    groups = (head.split(":") if head else []) + (tail.split(":") if tail else [])
    if "." in (tail if gap else head).rpartition(":")[2]:
        quad = groups.pop().split(".")
        if len(quad) != 4 or not all(DIGITS.issuperset(part) and part and int(part) < 256 for part in quad):
            return False
        groups += "0", "0"
    whole = all(0 < len(group) < 5 and "." not in group for group in groups)
    return whole and (len(groups) < 8 if gap else len(groups) == 8)


def percent_decode(text: str) -> str:
    """`text` with its %XX decoded, as latin-1 (PEP 3333's bytes-in-str). A stray % stays as it is."""
    if "%" not in text:
        return text
    first, *rest = text.encode("latin-1").split(b"%")
    out = [first]
    for part in rest:
        pair = part[:2]
        if len(pair) == 2 and not pair.translate(None, HEX):
            out += bytes.fromhex(pair.decode("ascii")), part[2:]
        else:
            out += b"%", part
    return b"".join(out).decode("latin-1")
