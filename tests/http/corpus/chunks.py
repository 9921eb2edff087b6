"""RFC 9112 §7.1: chunks, their extensions, and the trailers behind them."""

POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def body(chunks: bytes) -> bytes:
    return POST + chunks


def got(data: bytes) -> dict[str, object]:
    return {"method": "POST", "body": data}


def extension(text: bytes) -> bytes:
    return body(b"5" + text + b"\r\nhello\r\n0\r\n\r\n")


def trailers(text: bytes) -> bytes:
    return body(b"5\r\nhello\r\n0\r\n" + text + b"\r\n")


HELLO = [got(b"hello")]

SIZES = [
    ("one chunk", body(b"5\r\nhello\r\n0\r\n\r\n"), HELLO),
    ("no chunk", body(b"0\r\n\r\n"), [got(b"")]),
    ("two chunks", body(b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"), HELLO),
    ("chunks of one byte", body(b"1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n"), HELLO),
    ("a lower-case size", body(b"a\r\n0123456789\r\n0\r\n\r\n"), [got(b"0123456789")]),
    ("an upper-case size", body(b"A\r\n0123456789\r\n0\r\n\r\n"), [got(b"0123456789")]),
    ("a size of two digits", body(b"1f\r\n" + b"x" * 31 + b"\r\n0\r\n\r\n"), [got(b"x" * 31)]),
    ("a size with leading zeros", body(b"0005\r\nhello\r\n0\r\n\r\n"), HELLO),
    ("a size of fifteen digits", body(b"000000000000005\r\nhello\r\n0\r\n\r\n"), HELLO),
    ("a last chunk of several zeros", body(b"5\r\nhello\r\n000\r\n\r\n"), HELLO),
    ("a chunk of line ends", body(b"4\r\n\r\n\r\n\r\n0\r\n\r\n"), [got(b"\r\n\r\n")]),
    ("a chunk that looks like the last", body(b"5\r\n0\r\n\r\n\r\n0\r\n\r\n"), [got(b"0\r\n\r\n")]),
    ("a large chunk", body(b"30d40\r\n" + b"x" * 200000 + b"\r\n0\r\n\r\n"), [got(b"x" * 200000)]),
    ("a request behind the last chunk", body(b"0\r\n\r\n") + body(b"5\r\nhello\r\n0\r\n\r\n"), [got(b""), *HELLO]),
    ("garbage behind the last chunk", body(b"0\r\n\r\nGARBAGE\r\n\r\n"), [got(b""), 400]),
    ("no last chunk", body(b"5\r\nhello\r\n"), [...]),
    ("a chunk that hasn't all come", body(b"5\r\nhel"), [...]),
    ("no line end behind a chunk yet", body(b"5\r\nhello"), [...]),
    ("half a line end behind a chunk", body(b"5\r\nhello\r"), [...]),
    ("no size yet", body(b""), [...]),
    ("half a size", body(b"5"), [...]),
    ("no empty line behind the last chunk yet", body(b"5\r\nhello\r\n0\r\n"), [...]),
    ("half an empty line behind the last chunk", body(b"5\r\nhello\r\n0\r\n\r"), [...]),
    ("a size of sixteen digits", body(b"0000000000000005\r\nhello\r\n0\r\n\r\n"), [400]),
    ("a size of sixteen F", body(b"F" * 16 + b"\r\nhello"), [400]),
    ("a size that overflows 64 bits to 5", body(b"10000000000000005\r\nhello\r\n0\r\n\r\n"), [400]),
    *[
        (f"{size!r} is no size", body(size + b"\r\nhello\r\n0\r\n\r\n"), [400])
        for size in (
            b"", b" ", b" 5", b"5 ", b"\t5", b"5\t", b"0x5", b"0X5", b"x5", b"5h", b"5g", b"g", b"+5", b"-5", b"-0",
            b"5.", b"5,",
            b"5_", b"0_5", b"_5", b"5 5", b"5\0", b"\x005", b"\x0b5", b"5\x0b", b"5\x0c", b"\xef\xbc\x95", b"\xb2",
            b"5\xa0",
            b"\"5\"", b"5:", b"5=a", b"\r5", b"5\r", b"5\r\r", b"\n5", b"{5}", b"5\x7f", b"5 a=b", b"0x", b"five",
        )
    ],
    ("a bare LF behind a size", body(b"5\nhello\r\n0\r\n\r\n"), [400]),
    ("a bare LF behind a size of two digits", body(b"50\nhello\r\n0\r\n\r\n"), [400]),
    ("a bare LF behind the last size of two digits", body(b"5\r\nhello\r\n00\n\r\n"), [400]),
    ("a bare CR behind a size", body(b"5\rhello\r\n0\r\n\r\n"), [400]),
    ("a bare LF behind a chunk", body(b"5\r\nhello\n0\r\n\r\n"), [400]),
    ("a bare CR behind a chunk", body(b"5\r\nhello\r0\r\n\r\n"), [400]),
    ("nothing behind a chunk", body(b"5\r\nhello0\r\n\r\n"), [400]),
    ("a chunk shorter than its size", body(b"6\r\nhello\r\n0\r\n\r\n"), [400]),
    ("a chunk longer than its size", body(b"4\r\nhello\r\n0\r\n\r\n"), [400]),
    ("two bytes of anything behind a chunk", body(b"5\r\nhelloXX0\r\n\r\n"), [400]),
    ("LF CR behind a chunk", body(b"5\r\nhello\n\r0\r\n\r\n"), [400]),
    ("an empty line behind a chunk", body(b"5\r\nhello\r\n\r\n0\r\n\r\n"), [400]),
    ("an empty line before the first size", body(b"\r\n5\r\nhello\r\n0\r\n\r\n"), [400]),
    ("a bare LF behind the last size", body(b"5\r\nhello\r\n0\n\r\n"), [400]),
    ("a bare LF for the last empty line", body(b"5\r\nhello\r\n0\r\n\n"), [400]),
    ("two bare LFs at the end", body(b"5\r\nhello\r\n0\n\n"), [400]),
    ("a bare CR for the last empty line", body(b"5\r\nhello\r\n0\r\n\rX"), [400]),
    ("a body that isn't chunked", body(b"hello world"), [400]),
    ("a negative last chunk", body(b"5\r\nhello\r\n-0\r\n\r\n"), [400]),
]  # fmt: skip

EXTENSIONS = [
    ("an extension", extension(b";a"), HELLO),
    ("an extension with a value", extension(b";a=b"), HELLO),
    ("two extensions", extension(b";a=b;c"), HELLO),
    ("an extension with a quoted value", extension(b';a="b c"'), HELLO),
    ("an empty quoted value", extension(b';a=""'), HELLO),
    ("a quoted value with a semicolon", extension(b';a="b;c=d"'), HELLO),
    ("a quoted value with an escaped quote", extension(b';a="b\\"c"'), HELLO),
    ("a quoted value with an escaped backslash", extension(b';a="b\\\\"'), HELLO),
    ("a quoted value with obs-text", extension(b';a="\xe9"'), HELLO),
    ("a quoted value and then another extension", extension(b';a="b";c=d'), HELLO),
    ("blanks before the semicolon", extension(b" \t;a"), HELLO),
    ("blanks behind the semicolon", extension(b"; \ta"), HELLO),
    ("blanks around the equals sign", extension(b";a \t= \tb"), HELLO),
    ("blanks between extensions", extension(b";a=b ; c"), HELLO),
    ("an extension of the last chunk", body(b"5\r\nhello\r\n0;a=b\r\n\r\n"), HELLO),
    ("extensions of every chunk", body(b"3;a\r\nhel\r\n2;b\r\nlo\r\n0;c\r\n\r\n"), HELLO),
    *[
        (f"the extension {text!r} is malformed", extension(text), [400])
        for text in (
            b";", b"; ", b";;", b";a;", b";;a", b";=", b";=b", b";a=", b";a=;", b";a= ", b";a==b", b";a b", b";a=b c",
            b';a="b', b';a=b"',
            b';a="b\\"', b';a="b"c', b';a="b" c', b';"a"=b', b";a=b,c", b";(a)", b";a=[b]", b";a=b;=c", b";a=\xe9",
            b";\xe9=b",
            b";a\0", b";a\x7f", b";a\x0b", b";a\r", b";a=\"b\rc\"", b";a=\"b\0c\"", b"\x0b;a", b"\r;a",
        )
    ],
    ("a bare LF behind an extension", body(b"5;a\nhello\r\n0\r\n\r\n"), [400]),
    ("a bare LF behind a longer extension", body(b"5;ab\nhello\r\n0\r\n\r\n"), [400]),
    ("a bare LF inside the quotes of an extension", body(b'5;a="\n"\r\nhello\r\n0\r\n\r\n'), [400]),
    ("CR LF inside the quotes of an extension", body(b'5;a="\r\n"\r\nhello\r\n0\r\n\r\n'), [400]),
    ("a bare CR inside an extension", body(b"5;\ra\r\nhello\r\n0\r\n\r\n"), [400]),
    ("a size line of 255 bytes", extension(b";a=" + b"b" * 250), HELLO),
    ("a size line of 256 bytes", extension(b";a=" + b"b" * 251), [400]),
    ("a size line without an end", body(b"5;a=" + b"b" * 300), [400]),
    ("many extensions together", body(b"1;a=" + b"b" * 200 + b"\r\nx\r\n") + (b"1;" + b"a" * 200 + b"\r\nx\r\n") * 90,
     [400]),
]  # fmt: skip

TRAILERS = [
    ("a trailer", trailers(b"X-Sum: 1\r\n"), HELLO),
    ("two trailers", trailers(b"X-Sum: 1\r\nX-Other: 2\r\n"), HELLO),
    ("a trailer with an empty value", trailers(b"X-Sum:\r\n"), HELLO),
    ("a trailer with obs-text", trailers(b"X-Sum: \xe9\r\n"), HELLO),
    ("a trailer behind no chunks", body(b"0\r\nX-Sum: 1\r\n\r\n"), [got(b"")]),
    ("a trailer is no field", trailers(b"X-Sum: 1\r\n"), [{**got(b"hello"), "fields": {"HTTP_X_SUM": None}}]),
    *[
        (f"the trailer {line.decode()} says nothing", trailers(line + b"\r\n") + body(b"0\r\n\r\n"),
         [{**got(b"hello"), "fields": {"CONTENT_LENGTH": None, "HTTP_HOST": "a", "HTTP_COOKIE": None}}, got(b"")])
        for line in (
            b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Host: b", b"Cookie: a=b", b"Connection: close",
        )
    ],
    ("a request behind the trailers", trailers(b"X-Sum: 1\r\n") + body(b"0\r\n\r\n"), [*HELLO, got(b"")]),
    *[
        (f"the trailer {line!r} is malformed", trailers(line), [400])
        for line in (
            b"X-Sum\r\n", b": 1\r\n", b"X-Sum : 1\r\n", b"X Sum: 1\r\n", b" X-Sum: 1\r\n", b"X-Sum: 1\r\n folded\r\n",
            b"X-Sum: a\0b\r\n",
            b"X-Sum: a\rb\r\n", b"X-Sum: a\nb: c\r\n", b"X-Sum: 1\n", b"X-Sum: a\x7f\r\n", b"X-\xe9: a\r\n",
            b"X-Sum: 1\r\r\n",
            b"GET / HTTP/1.1\r\n", b"\tX: a\r\n", b"X: a\rb\n\r\n",
        )
    ],
    ("trailers of 8192 bytes", trailers(b"X: " + b"a" * 8189 + b"\r\n"), HELLO),
    ("trailers of 8193 bytes", trailers(b"X: " + b"a" * 8190 + b"\r\n"), [431]),
    ("trailers without an end", body(b"0\r\nX: " + b"a" * 9000), [431]),
    ("a hundred trailers", trailers(b"X: a\r\n" * 100), HELLO),
    ("101 trailers", trailers(b"X: a\r\n" * 101), [431]),
    ("trailers that haven't ended", body(b"0\r\nX: a\r\n"), [...]),
    ("a trailer that hasn't ended", body(b"0\r\nX: a\r"), [...]),
]  # fmt: skip

CASES = SIZES + EXTENSIONS + TRAILERS
