"""RFC 9110 §8.6, RFC 9112 §6.3: Content-Length is one number. A list may be repaired; here it is refused."""

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"


def length(value: bytes, body: bytes = b"") -> bytes:
    return POST + b"Content-Length: " + value + b"\r\n\r\n" + body


def got(body: bytes, **more: object) -> dict[str, object]:
    return {"method": "POST", "body": body, **more}


CASES = [
    ("a length of nothing", length(b"0"), [got(b"")]),
    ("a body of one byte", length(b"1", b"a"), [got(b"a")]),
    ("a body of five bytes", length(b"5", b"hello"), [got(b"hello")]),
    ("a length with leading zeros", length(b"0005", b"hello"), [got(b"hello")]),
    ("a length of zeros", length(b"000"), [got(b"")]),
    ("a length between blanks", length(b" \t 5 \t ", b"hello"), [got(b"hello")]),
    ("a body of CR LF", length(b"4", b"\r\n\r\n"), [got(b"\r\n\r\n")]),
    ("a body of NULs", length(b"3", b"\0\0\0"), [got(b"\0\0\0")]),
    ("a body of every byte", length(b"256", bytes(range(256))), [got(bytes(range(256)))]),
    ("a body that looks like a request", length(b"18", b"GET / HTTP/1.1\r\n\r\n"), [got(b"GET / HTTP/1.1\r\n\r\n")]),
    ("a body that looks chunked", length(b"5", b"0\r\n\r\n"), [got(b"0\r\n\r\n")]),
    ("a large body", length(b"200000", b"x" * 200000), [got(b"x" * 200000)]),
    ("a body that hasn't all come", length(b"5", b"hell"), [...]),
    ("a body that hasn't begun to come", length(b"5"), [...]),
    ("what is behind a body is the next request", length(b"1", b"a") + length(b"2", b"bc"), [got(b"a"), got(b"bc")]),
    ("what is behind a body is no request", length(b"1", b"aGARBAGE\r\n\r\n"), [got(b"a"), 400]),
    ("a body for GET", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", [{"body": b"ab"}]),
    ("a body for HEAD", b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
     [{"method": "HEAD", "body": b"ab"}]),
    ("a body for OPTIONS *", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
     [{"method": "OPTIONS", "target": "*", "body": b"ab"}]),
    ("a body in HTTP/1.0", b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nab",
     [got(b"ab", version="HTTP/1.0", keep_alive=False)]),
    ("no length is no body", POST + b"\r\n", [got(b"", fields={"CONTENT_LENGTH": None})]),
    ("no length, so what follows is a request", POST + b"\r\nhello\r\n\r\n", [got(b""), 400]),
    *[
        (f"{value!r} is no length", length(value, b"hello" * 10), [400])
        for value in (
            b"", b" ", b"+5", b"-5", b"-0", b"+0", b"- 5", b"5 5", b"5\t5", b"5,", b",5", b"5,5", b"5, 5", b"5,6",
            b"5;", b"5 ;a",
            b"0x5", b"0X5", b"5h", b"a", b"0b1", b"0o5", b"5.0", b"5.", b".5", b"5e0", b"1_0", b"_5", b"5_", b"1'0",
            b"1 000",
            b'"5"', b"'5'", b"5\xb2", b"\xb2", "\u0665".encode(), "\uff15".encode(), b"5\xa0", b"\xa05", b"NaN",
            b"inf", b"1" * 19, b"9" * 100, b"0" * 19, b"9" * 5000, b"(5)", b"5%", b"%35", b"5\\", b"five", b"null",
            b"5\0", b"\x005", b"5\x0b", b"\x0b5", b"5\x0c", b"5\x7f",
        )
    ],
    *[
        (f"two lengths, {first!r} and {second!r}",
         POST + b"Content-Length: " + first + b"\r\nContent-Length: " + second + b"\r\n\r\nhello", [400])
        for first, second in ((b"5", b"5"), (b"5", b"6"), (b"0", b"5"), (b"5", b"0"), (b"5", b""), (b"", b"5"))
    ],
    ("two lengths in different case", POST + b"Content-Length: 5\r\ncontent-length: 5\r\n\r\nhello", [400]),
    ("two lengths, apart", POST + b"Content-Length: 5\r\nX: a\r\nContent-Length: 5\r\n\r\nhello", [400]),
    ("a bad length in HTTP/1.0", b"POST / HTTP/1.0\r\nContent-Length: +5\r\n\r\nhello", [400]),
    ("a bad length for GET", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", [400]),
]  # fmt: skip
