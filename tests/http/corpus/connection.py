"""RFC 9112 §9.3 persistence, RFC 9110 §7.8 Upgrade, §10.1.1 Expect."""


def request(fields: bytes, version: bytes = b"1.1", body: bytes = b"") -> bytes:
    return b"GET / HTTP/" + version + b"\r\nHost: a\r\n" + fields + b"\r\n" + body


OLD = {"version": "HTTP/1.0"}

CASES = [
    *[
        (f"HTTP/1.1 with {fields!r} {'stays' if stays else 'ends'}", request(fields), [{"keep_alive": stays}])
        for fields, stays in (
            (b"", True),
            (b"Connection: keep-alive\r\n", True),
            (b"Connection: close\r\n", False),
            (b"Connection: CLOSE\r\n", False),
            (b"connection:close\r\n", False),
            (b"Connection: \t close \t \r\n", False),
            (b"Connection: close, keep-alive\r\n", False),
            (b"Connection: keep-alive, close\r\n", False),
            (b"Connection: keep-alive\r\nConnection: close\r\n", False),
            (b"Connection: close\r\nConnection: keep-alive\r\n", False),
            (b"Connection: foo,close ,bar\r\n", False),
            (b"Connection: ,,close\r\n", False),
            (b"Connection: closed\r\n", True),
            (b"Connection: close-notify\r\n", True),
            (b"Connection: close;a=b\r\n", True),
            (b"Connection: \r\n", True),
            (b"Connection: te\r\nTE: trailers\r\n", True),
            (b"Keep-Alive: timeout=0\r\n", True),
            (b"Proxy-Connection: close\r\n", True),
        )
    ],
    *[
        (f"HTTP/1.0 with {fields!r} {'stays' if stays else 'ends'}", request(fields, b"1.0"),
         [{**OLD, "keep_alive": stays}])
        for fields, stays in (
            (b"", False),
            (b"Connection: keep-alive\r\n", True),
            (b"Connection: Keep-Alive\r\n", True),
            (b"Connection: foo, keep-alive\r\n", True),
            (b"Connection: close\r\n", False),
            (b"Connection: keep-alive, close\r\n", False),
            (b"Connection: close\r\nConnection: keep-alive\r\n", False),
            (b"Connection: keep-alives\r\n", False),
            (b"Keep-Alive: timeout=5\r\n", False),
            (b"Proxy-Connection: keep-alive\r\n", False),
        )
    ],
    ("what follows a close is not read", request(b"Connection: close\r\n") + b"GARBAGE\0", [{"keep_alive": False}]),
    ("what follows HTTP/1.0 is not read", request(b"", b"1.0") + b"GARBAGE\0", [{**OLD, "keep_alive": False}]),
    ("versions may change within a connection",
     request(b"Connection: keep-alive\r\n", b"1.0") + request(b"Connection: keep-alive\r\n") + request(b"", b"1.0"),
     [OLD, {}, {**OLD, "keep_alive": False}]),
    ("the same fields in another version",
     request(b"") * 3 + request(b"", b"1.0"), [{}, {}, {}, {**OLD, "keep_alive": False}]),
    # RFC 9110 §7.8
    ("an upgrade", request(b"Connection: upgrade\r\nUpgrade: websocket\r\n"),
     [{"upgrade": True, "fields": {"HTTP_UPGRADE": "websocket"}}]),
    ("an upgrade among options", request(b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"),
     [{"upgrade": True}]),
    ("an Upgrade that Connection doesn't name", request(b"Upgrade: websocket\r\n"), [{}]),
    ("a Connection that names no Upgrade", request(b"Connection: upgrade\r\n"), [{}]),
    ("an upgrade with close", request(b"Connection: upgrade, close\r\nUpgrade: x\r\n"),
     [{"upgrade": True, "keep_alive": False}]),
    ("an upgrade with a body", request(b"Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 2\r\n", body=b"ab"),
     [{"upgrade": True, "body": b"ab"}]),
    ("HTTP/1.0 has no upgrade", request(b"Connection: keep-alive, upgrade\r\nUpgrade: x\r\n", b"1.0"), [OLD]),
    # RFC 9110 §10.1.1
    ("100-continue with a body", request(b"Expect: 100-continue\r\nContent-Length: 2\r\n", body=b"ab"),
     [{"expects": True, "body": b"ab"}]),
    ("100-continue is not case-sensitive", request(b"Expect: 100-Continue\r\nContent-Length: 2\r\n", body=b"ab"),
     [{"expects": True, "body": b"ab"}]),
    ("100-continue with chunks", request(b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", body=b"0\r\n\r\n"),
     [{"expects": True}]),
    ("100-continue without a body", request(b"Expect: 100-continue\r\n"), [{}]),
    ("100-continue with a body of nothing", request(b"Expect: 100-continue\r\nContent-Length: 0\r\n"), [{}]),
    ("HTTP/1.0 expects nothing", request(b"Expect: 100-continue\r\nContent-Length: 2\r\n", b"1.0", b"ab"),
     [{**OLD, "keep_alive": False, "body": b"ab"}]),
    ("HTTP/1.0 may expect anything", request(b"Expect: coffee\r\n", b"1.0"), [{**OLD, "keep_alive": False}]),
    *[
        (f"the expectation {value!r} can't be met", request(b"Expect: " + value + b"\r\n"), [417])
        for value in (b"", b"100", b"100-continue, 100-continue", b"100-continue;a", b"200-ok", b"x=y", b"continue",
                      b"100-continued", b'"100-continue"')
    ],
    ("two expectations", request(b"Expect: 100-continue\r\nExpect: 100-continue\r\n"), [417]),
]  # fmt: skip
