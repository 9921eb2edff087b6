"""RFC 9112 §6.1: chunked, once and alone. What a second parser could read otherwise is refused."""

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
BODY = b"5\r\nhello\r\n0\r\n\r\n"


def encoding(value: bytes, more: bytes = b"") -> bytes:
    return POST + b"Transfer-Encoding: " + value + b"\r\n" + more + b"\r\n" + BODY


HELLO = {"method": "POST", "body": b"hello"}

CASES = [
    *[
        (f"the coding {value!r} is chunked", encoding(value), [HELLO])
        for value in (b"chunked", b"Chunked", b"CHUNKED", b"cHuNkEd", b" \t chunked \t ")
    ],
    ("chunked right behind the colon", POST + b"Transfer-Encoding:chunked\r\n\r\n" + BODY, [HELLO]),
    ("a name in other case", POST + b"tRANSFER-eNCODING: chunked\r\n\r\n" + BODY, [HELLO]),
    ("chunked in GET", b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY, [{"body": b"hello"}]),
    *[
        (f"the coding {value!r} is not understood", encoding(value), [501])
        for value in (
            b"gzip", b"deflate", b"compress", b"br", b"identity", b"x-chunked", b"xchunked", b"chunkedx",
            b"chunked-foo", b"chunk",
            b"gzip, chunked", b"gzip,chunked", b"identity, chunked", b"chunked;q=1", b"chunked; a=b", b"chunked;",
            b'"chunked"',
            b"'chunked'", b"chunked chunked", b"chunked gzip", b"x chunked", b"chun ked", b"chunked\xa0",
            b"\xa0chunked",
            b"chunked\x85", b"(chunked)", b"chunked=1", b"chun\tked", b"none", b"null", b"trailers", b"\xe7hunked",
            b"chun%6Bed", b"chunked/1", "chun\u212aed".encode(),
        )
    ],
    *[
        (f"the coding {value!r} is malformed or could smuggle", encoding(value), [400])
        for value in (
            b"", b" ", b",", b",chunked", b"chunked,", b"chunked, ", b", chunked", b"chunked,,", b"gzip,,chunked",
            b"chunked, chunked",
            b"chunked,chunked", b"chunked, gzip", b"chunked, identity", b"chunked, gzip, chunked", b"CHUNKED, gzip",
            b"chunked\x0b", b"\x0bchunked", b"chunked\x0c", b"chunked\0", b"\0chunked", b"chunked\x7f", b"chunked\r",
            b"chunked\n",
            b"chun\x08ked", b"chunked\rX: y",
        )
    ],
    *[
        (f"two Transfer-Encodings, {first!r} and {second!r}",
         encoding(first, b"Transfer-Encoding: " + second + b"\r\n"), [status])
        for first, second, status in (
            (b"chunked", b"chunked", 400), (b"chunked", b"identity", 400), (b"chunked", b"gzip", 400),
            (b"chunked", b"", 400), (b"", b"chunked", 400), (b"gzip", b"chunked", 501), (b"identity", b"chunked", 501),
            (b"x", b"y", 501),
        )
    ],
    ("chunked with a length", encoding(b"chunked", b"Content-Length: 5\r\n"), [400]),
    ("chunked with a length before it", POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY,
     [400]),
    ("chunked with a length of nothing", encoding(b"chunked", b"Content-Length: 0\r\n"), [400]),
    ("chunked with a length that is none", encoding(b"chunked", b"Content-Length: x\r\n"), [400]),
    ("identity with a length", encoding(b"identity", b"Content-Length: 5\r\n"), [400]),
    ("gzip with a length", encoding(b"gzip", b"Content-Length: 5\r\n"), [400]),
    ("an empty coding with a length", encoding(b"", b"Content-Length: 5\r\n"), [400]),
    ("chunked with Content_Length", encoding(b"chunked", b"Content_Length: 5\r\n"), [HELLO]),
    ("chunked in HTTP/1.0", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY, [400]),
    ("chunked in HTTP/1.0 with keep-alive",
     b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY, [400]),
    ("identity in HTTP/1.0",
     b"POST / HTTP/1.0\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", [400]),
    ("a blank before the colon", POST + b"Transfer-Encoding : chunked\r\n\r\n" + BODY, [400]),
    ("a blank before the name", POST + b" Transfer-Encoding: chunked\r\n\r\n" + BODY, [400]),
    ("a tab before the colon", POST + b"Transfer-Encoding\t: chunked\r\n\r\n" + BODY, [400]),
    ("a NUL behind the name", POST + b"Transfer-Encoding\0: chunked\r\n\r\n" + BODY, [400]),
    ("a bare LF before the name", POST + b"X: a\nTransfer-Encoding: chunked\r\n\r\n" + BODY, [400]),
    ("a bare CR before the name", POST + b"X: a\rTransfer-Encoding: chunked\r\n\r\n" + BODY, [400]),
    ("a CR CR LF before the name", POST + b"X: a\r\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY, [400]),
    ("a length and then a folded chunked",
     POST + b"Content-Length: 5\r\nX: a\r\n Transfer-Encoding: chunked\r\n\r\n" + BODY, [400]),
    ("Transfer Encoding with a blank", POST + b"Transfer Encoding: chunked\r\n\r\n" + BODY, [400]),
    ("TE doesn't frame anything", b"GET / HTTP/1.1\r\nHost: a\r\nTE: chunked\r\n\r\n", [{}]),
    ("Content-Encoding doesn't frame anything",
     b"GET / HTTP/1.1\r\nHost: a\r\nContent-Encoding: chunked\r\n\r\n", [{}]),
]  # fmt: skip
