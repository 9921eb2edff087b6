"""RFC 9112 §3.2 and RFC 9110 §7.2: exactly one Host in HTTP/1.1, and a well-formed one whenever it is there."""


def host(value: bytes, version: bytes = b"1.1") -> bytes:
    return b"GET / HTTP/" + version + b"\r\nHost: " + value + b"\r\n\r\n"


def got(value: str, **more: object) -> list[object]:
    return [{"fields": {"HTTP_HOST": value}, **more}]


OLD = {"version": "HTTP/1.0", "keep_alive": False}

CASES = [
    *[
        (f"the host {value!r}", host(value.encode()), got(value))
        for value in (
            "a.example", "A.Example", "a.example:80", "a.example:65535", "a.example:", "a.example.", "localhost", "a",
            "192.0.2.1", "192.0.2.1:8000", "[::1]", "[::1]:8000", "[::]", "[1::]", "[2001:db8::1]",
            "[1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:7::]", "[::2:3:4:5:6:7:8]", "[::ffff:192.0.2.1]",
            "[64:ff9b::192.0.2.33]",
            "[1:2:3:4:5:6:192.0.2.1]", "[v1.a:b]", "[vF.x]:1", "a_b.example", "a-b~c", "a%20b", "xn--bcher-kva.example",
            "!$&'()*+,;=", ":80", "",
        )
    ],
    *[
        (f"the host {value!r} is malformed", host(value), [400])
        for value in (
            b"a b", b"a\tb", b"a/b", b"a/", b"http://a", b"user@a", b"a@b:80", b"a?b", b"a#b", b"a\\b", b"a:x", b"a:8a",
            b"a:-1", b"a:+1", b"a:123456", b"a:80:80", b"::1", b"[::1", b"::1]", b"[]", b"[:]", b"[::1]x", b"[::g]",
            b"[:::]", b"[1::2::3]", b"[1:2:3]", b"[1:2:3:4:5:6:7:8:9]", b"[1:2:3:4:5:6:7:8::]", b"[12345::]", b"[:1]",
            b"[1:]", b"[192.0.2.1]", b"[::192.0.2]", b"[::192.0.2.256]", b"[::1.2.3.4.5]", b"[192.0.2.1::]",
            b"[::1..2.3]",
            b"[fe80::1%25eth0]", b"[::1]:x", b"[v.a]", b"[v1.]", b"[x1.a]", b"[v1.\xe9]", b"a%", b"a%2", b"a%zz",
            b"a<b",
            b"a>b", b'"a"', b"a|b", b"a^b", b"a`b", b"{a}", b"\xe9", "é".encode(), b"a\xa0b", b"a:8\xb2", b"[[::1]]",
            b"a\x00b", b"a\x7fb", b"a\x0bb", b"a\rb", b"a\nb",
        )
    ],
    ("no Host in HTTP/1.1", b"GET / HTTP/1.1\r\n\r\n", [400]),
    ("other fields but no Host in HTTP/1.1", b"GET / HTTP/1.1\r\nAccept: */*\r\n\r\n", [400]),
    ("no Host in HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", [{"fields": {"HTTP_HOST": None}, **OLD}]),
    ("a malformed Host in HTTP/1.0", host(b"a b", b"1.0"), [400]),
    ("a Host in HTTP/1.0", host(b"a", b"1.0"), got("a", **OLD)),
    ("two different Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", [400]),
    ("two equal Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", [400]),
    ("two Hosts, apart and in other case", b"GET / HTTP/1.1\r\nHost: a\r\nAccept: b\r\nhOST: a\r\n\r\n", [400]),
    ("two Hosts, the first empty", b"GET / HTTP/1.1\r\nHost:\r\nHost: a\r\n\r\n", [400]),
    ("two Hosts, the second empty", b"GET / HTTP/1.1\r\nHost: a\r\nHost:\r\n\r\n", [400]),
    ("two Hosts in HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", [400]),
    ("three Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\nHost: a\r\n\r\n", [400]),
    ("a Host in upper case", b"GET / HTTP/1.1\r\nHOST: a\r\n\r\n", got("a")),
    ("a Host in lower case", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", got("a")),
    ("a Host right behind its colon", b"GET / HTTP/1.1\r\nHost:a:80\r\n\r\n", got("a:80")),
    ("a Host between blanks", b"GET / HTTP/1.1\r\nHost: \t a \t \r\n\r\n", got("a")),
    ("a Host behind a blank before the colon", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", [400]),
    ("a second Host behind a blank", b"GET / HTTP/1.1\r\nHost: a\r\n Host: b\r\n\r\n", [400]),
    ("X-Forwarded-Host is no Host", b"GET / HTTP/1.1\r\nX-Forwarded-Host: a\r\n\r\n", [400]),
    ("a Host that is a list", b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", [400]),
]  # fmt: skip
