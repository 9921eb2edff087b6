"""RFC 9112 §3: method SP request-target SP HTTP-version, and the four forms of a target."""


def line(first: bytes) -> bytes:
    return first + b"\r\nHost: a.example\r\n\r\n"


def got(target: str, path: str, query: str = "", **more: object) -> list[object]:
    return [{"target": target, "path": path, "query": query, **more}]


METHODS = [
    *[
        (f"the registered method {method}", line(method.encode() + b" / HTTP/1.1"), [{"method": method}])
        for method in (
            "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "PROPFIND", "MKCOL", "REPORT",
            "VERSION-CONTROL", "BASELINE-CONTROL", "QUERY", "M-SEARCH", "UPDATEREDIRECTREF",
        )
    ],
    ("a method of one letter", line(b"A / HTTP/1.1"), [{"method": "A"}]),
    ("a method with digits", line(b"GET2 / HTTP/1.1"), [{"method": "GET2"}]),
    ("a method with an underscore", line(b"MY_METHOD / HTTP/1.1"), [{"method": "MY_METHOD"}]),
    ("a method of twenty letters", line(b"A" * 20 + b" / HTTP/1.1"), [{"method": "A" * 20}]),
    ("a method of 21 letters", line(b"A" * 21 + b" / HTTP/1.1"), [501]),
    ("a lower-case method", line(b"get / HTTP/1.1"), [501]),
    ("a method in mixed case", line(b"Get / HTTP/1.1"), [501]),
    ("a method that is a token nobody uses", line(b"!#$%&'*+.^`|~ / HTTP/1.1"), [501]),
    ("a method with a dot", line(b"GET.X / HTTP/1.1"), [501]),
    *[
        (f"a method with {name}", line(b"GE" + byte + b"T / HTTP/1.1"), [400])
        for name, byte in {
            "a colon": b":", "a slash": b"/", "a comma": b",", "a quote": b'"', "parentheses": b"()", "an at": b"@",
            "brackets": b"[]", "braces": b"{}", "an equals sign": b"=", "a question mark": b"?", "a semicolon": b";",
            "a backslash": b"\\", "a less-than sign": b"<", "a tab": b"\t", "a NUL": b"\0", "a DEL": b"\x7f",
            "an obs-text byte": b"\xe9", "UTF-8": "é".encode(), "an escape": b"\x1b", "a bare CR": b"\r",
        }.items()
    ],
    ("no method, but its blank", line(b" / HTTP/1.1"), [400]),
    ("no method at all", line(b"/ HTTP/1.1"), [400]),
    ("a byte order mark before the method", line(b"\xef\xbb\xbfGET / HTTP/1.1"), [400]),
    ("a method in quotes", line(b'"GET" / HTTP/1.1'), [400]),
]  # fmt: skip

BLANKS = [
    ("two blanks behind the method", line(b"GET  / HTTP/1.1"), [400]),
    ("two blanks before the version", line(b"GET /  HTTP/1.1"), [400]),
    ("a blank before the method", line(b" GET / HTTP/1.1"), [400]),
    ("a blank behind the version", line(b"GET / HTTP/1.1 "), [400]),
    ("a tab between method and target", line(b"GET\t/ HTTP/1.1"), [400]),
    ("a tab between target and version", line(b"GET /\tHTTP/1.1"), [400]),
    ("a tab behind the version", line(b"GET / HTTP/1.1\t"), [400]),
    ("a vertical tab for a blank", line(b"GET\x0b/\x0bHTTP/1.1"), [400]),
    ("a form feed for a blank", line(b"GET\x0c/\x0cHTTP/1.1"), [400]),
    ("a no-break space for a blank", line(b"GET\xa0/\xa0HTTP/1.1"), [400]),
    ("a bare CR for a blank", line(b"GET\r/ HTTP/1.1"), [400]),
    ("a bare CR before the line's end", line(b"GET / HTTP/1.1\r"), [400]),
    ("a blank inside the target", line(b"GET /a b HTTP/1.1"), [400]),
    ("a target that smuggles a version", line(b"GET / HTTP/1.1 HTTP/1.1"), [400]),
    ("a bare LF ends the request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", [400]),
    ("bare LFs end everything", b"GET / HTTP/1.1\nHost: a\n\n", [400]),
    ("LF CR for CR LF", b"GET / HTTP/1.1\n\rHost: a\n\r\n\r", [400]),
    ("a line of blanks", line(b"  "), [400]),
    ("a line of one word", line(b"GET"), [400]),
    ("the greeting of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [400]),
    ("the greeting of SSLv2", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", [400]),
    ("the line of the PROXY protocol", line(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2"), [400]),
    ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [505]),
    ("an answer for a request", b"HTTP/1.1 200 OK\r\n\r\n", [400]),
    ("SMTP", b"EHLO mail.example\r\n\r\n", [400]),
]

VERSIONS = [
    ("HTTP/1.1", line(b"GET / HTTP/1.1"), [{}]),
    ("HTTP/1.0", line(b"GET / HTTP/1.0"), [{"version": "HTTP/1.0", "keep_alive": False}]),
    ("HTTP/1.0 without Host", b"GET / HTTP/1.0\r\n\r\n", [{"version": "HTTP/1.0", "keep_alive": False}]),
    ("HTTP/0.9, with an empty line behind it", b"GET /\r\n\r\n", [400]),
    ("HTTP/0.9 waits for the end of a head", b"GET /\r\n", [...]),
    *[
        (f"the version {version} is not spoken here", line(b"GET / " + version.encode()), [505])
        for version in ("HTTP/0.9", "HTTP/1.2", "HTTP/1.9", "HTTP/2.0", "HTTP/3.0", "HTTP/9.9")
    ],
    *[
        (f"{version!r} is no version", line(b"GET / " + version), [400])
        for version in (
            b"", b"HTTP", b"HTTP/", b"HTTP/1", b"HTTP/2", b"HTTP/1.", b"HTTP/.1", b"HTTP/1.1.1", b"HTTP/1.10",
            b"HTTP/11.1", b"HTTP/01.1", b"HTTP/1.01", b"http/1.1", b"Http/1.1", b"HTTp/1.1", b"HTTPS/1.1", b"HTTP-1.1",
            b"HTTP/1,1", b"HTTP/+1.1", b"HTTP/-1.1", b"HTTP/1.x", b"HTTP/x.1", b"HTTP/1 1", b"HTTP /1.1", b"HTTP/ 1.1",
            b"HTTP/1.1\x00", b"HTTP/1.1;", b"HTTP/\xb9.1", b"ICY/1.1", b"RTSP/1.0", b"SIP/2.0", b"H\xd4TP/1.1", b"/1.1",
        )
    ],
]  # fmt: skip

ORIGIN_FORM = [
    ("a path", line(b"GET /a/b HTTP/1.1"), got("/a/b", "/a/b")),
    ("a query", line(b"GET /a?b=c&d HTTP/1.1"), got("/a?b=c&d", "/a", "b=c&d")),
    ("an empty query", line(b"GET /a? HTTP/1.1"), got("/a?", "/a")),
    ("a question mark in a query", line(b"GET /a?b?c HTTP/1.1"), got("/a?b?c", "/a", "b?c")),
    ("a query stays encoded", line(b"GET /?a=%20 HTTP/1.1"), got("/?a=%20", "/", "a=%20")),
    ("a path that begins with two slashes", line(b"GET //a/b HTTP/1.1"), got("//a/b", "//a/b")),
    ("dots are the application's affair", line(b"GET /../a/./b HTTP/1.1"), got("/../a/./b", "/../a/./b")),
    ("a scheme inside a path", line(b"GET /http://b/ HTTP/1.1"), got("/http://b/", "/http://b/")),
    ("a percent-encoded blank", line(b"GET /a%20b HTTP/1.1"), got("/a%20b", "/a b")),
    ("percent-encoded UTF-8 as bytes", line(b"GET /%C3%A9 HTTP/1.1"), got("/%C3%A9", "/\xc3\xa9")),
    ("lower-case hexadecimal digits", line(b"GET /%c3%a9 HTTP/1.1"), got("/%c3%a9", "/\xc3\xa9")),
    ("a percent-encoded percent, decoded once", line(b"GET /%2541 HTTP/1.1"), got("/%2541", "/%41")),
    ("a percent-encoded question mark", line(b"GET /a%3Fb HTTP/1.1"), got("/a%3Fb", "/a?b")),
    ("a percent-encoded slash", line(b"GET /a%2Fb HTTP/1.1"), got("/a%2Fb", "/a/b")),
    ("a percent-encoded CR LF is data", line(b"GET /a%0D%0Ab HTTP/1.1"), got("/a%0D%0Ab", "/a\r\nb")),
    ("a percent-encoded NUL is data", line(b"GET /a%00 HTTP/1.1"), got("/a%00", "/a\0")),
    ("a stray percent stays", line(b"GET /100% HTTP/1.1"), got("/100%", "/100%")),
    ("a percent before one digit stays", line(b"GET /a%4 HTTP/1.1"), got("/a%4", "/a%4")),
    ("a percent before no digits stays", line(b"GET /a%zz%41 HTTP/1.1"), got("/a%zz%41", "/a%zzA")),
    ("two percents", line(b"GET /%%41 HTTP/1.1"), got("/%%41", "/%A")),
    ("a percent before a sign is no number", line(b"GET /%+1%-1 HTTP/1.1"), got("/%+1%-1", "/%+1%-1")),
    ("what browsers don't encode", line(b"GET /a|b^{c}`\"<d>[e]\\ HTTP/1.1"), got('/a|b^{c}`"<d>[e]\\',
                                                                                 '/a|b^{c}`"<d>[e]\\')),
    ("semicolons and commas", line(b"GET /a;v=1,2 HTTP/1.1"), got("/a;v=1,2", "/a;v=1,2")),
    ("a fragment", line(b"GET /a#b HTTP/1.1"), [400]),
    ("a raw byte beyond ASCII", line(b"GET /\xe9 HTTP/1.1"), [400]),
    ("raw UTF-8", line("GET /é HTTP/1.1".encode()), [400]),
    ("a raw byte beyond ASCII in the query", line(b"GET /?\xff HTTP/1.1"), [400]),
    ("a NUL in the target", line(b"GET /\0 HTTP/1.1"), [400]),
    ("a DEL in the target", line(b"GET /\x7f HTTP/1.1"), [400]),
    ("a tab in the target", line(b"GET /a\tb HTTP/1.1"), [400]),
    ("a bare CR in the target", line(b"GET /a\rb HTTP/1.1"), [400]),
    ("a bare LF in the target", line(b"GET /a\nb HTTP/1.1"), [400]),
    ("an escape in the target", line(b"GET /\x1b[2J HTTP/1.1"), [400]),
    ("a target without a slash", line(b"GET index.html HTTP/1.1"), [400]),
    ("a target that is a query", line(b"GET ?a=b HTTP/1.1"), [400]),
    ("a target that is a backslash", line(b"GET \\ HTTP/1.1"), [400]),
]  # fmt: skip


def absolute(host: str, **more: object) -> dict[str, object]:
    return {"fields": {"HTTP_HOST": host}, **more}


ABSOLUTE_FORM = [
    ("an absolute target", line(b"GET http://b.example/c?d HTTP/1.1"),
     got("http://b.example/c?d", "/c", "d", **absolute("b.example"))),
    ("an absolute target with a port", line(b"GET http://b:8080/ HTTP/1.1"),
     got("http://b:8080/", "/", **absolute("b:8080"))),
    ("an absolute target without a path", line(b"GET http://b HTTP/1.1"), got("http://b", "/", **absolute("b"))),
    ("an absolute target with a query and no path", line(b"GET http://b?c HTTP/1.1"),
     got("http://b?c", "/", "c", **absolute("b"))),
    ("an absolute target of https", line(b"GET https://b/ HTTP/1.1"), got("https://b/", "/", **absolute("b"))),
    ("a scheme is not case-sensitive", line(b"GET HtTp://b/ HTTP/1.1"), got("HtTp://b/", "/", **absolute("b"))),
    ("an absolute target with IPv6", line(b"GET http://[::1]:80/ HTTP/1.1"),
     got("http://[::1]:80/", "/", **absolute("[::1]:80"))),
    ("an absolute target is decoded", line(b"GET http://b/%41 HTTP/1.1"),
     got("http://b/%41", "/A", **absolute("b"))),
    ("an absolute target with two question marks", line(b"GET http://b/?c?d HTTP/1.1"),
     got("http://b/?c?d", "/", "c?d", **absolute("b"))),
    ("an absolute target in HTTP/1.0 without Host", b"GET http://b/ HTTP/1.0\r\n\r\n",
     got("http://b/", "/", version="HTTP/1.0", keep_alive=False, **absolute("b"))),
    ("an absolute target and then another", line(b"GET http://b/ HTTP/1.1") + line(b"GET http://c/ HTTP/1.1"),
     [*got("http://b/", "/", **absolute("b")), *got("http://c/", "/", **absolute("c"))]),
    ("an absolute target leaves nothing behind", line(b"GET http://b/ HTTP/1.1") + line(b"GET / HTTP/1.1"),
     [*got("http://b/", "/", **absolute("b")), *got("/", "/", **absolute("a.example"))]),
    ("an absolute target among requests that repeat themselves",
     line(b"GET / HTTP/1.1") * 3 + line(b"GET http://b/ HTTP/1.1") + line(b"GET / HTTP/1.1") * 3
     + line(b"GET http://b/ HTTP/1.1"),
     [*got("/", "/", **absolute("a.example")) * 3, *got("http://b/", "/", **absolute("b")),
      *got("/", "/", **absolute("a.example")) * 3, *got("http://b/", "/", **absolute("b"))]),
    ("an absolute target doesn't replace Host in HTTP/1.1", b"GET http://b/ HTTP/1.1\r\n\r\n", [400]),
    ("an absolute target doesn't excuse a bad Host", b"GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n", [400]),
    ("an absolute target doesn't excuse two Hosts", b"GET http://b/ HTTP/1.1\r\nHost: b\r\nHost: b\r\n\r\n", [400]),
    *[
        (f"the target {target} has none of the four forms", line(b"GET " + target.encode() + b" HTTP/1.1"), [400])
        for target in (
            "http://", "http:///", "http:///a", "http://?a", "http:b", "http:/b/", "ftp://b/", "ws://b/", "://b/",
            "javascript:alert(1)", "urn:a:b", "http://user@b/", "http://user:word@b/", "http://:80/",
            "http://b:x/", "http://b:123456/", "http://b:-1/", "http://[::1/", "http://[::1]x/", "http://[]/",
            "http://[::g]/", "http://b\\c/", "http://b#c", "httpx://b/", "xhttp://b/", "http//b/", "http://[1:2:3]/",
            "http://%zz/", "http://b|c/", "file:///etc/passwd",
        )
    ],
]  # fmt: skip

OTHER_FORMS = [
    ("an asterisk for OPTIONS", line(b"OPTIONS * HTTP/1.1"), got("*", "*", method="OPTIONS")),
    ("an asterisk for GET", line(b"GET * HTTP/1.1"), [400]),
    ("an asterisk with more behind it", line(b"OPTIONS ** HTTP/1.1"), [400]),
    ("an asterisk with a query", line(b"OPTIONS *?a HTTP/1.1"), [400]),
    ("a path that is an asterisk", line(b"GET /* HTTP/1.1"), got("/*", "/*")),
    ("CONNECT with host and port", line(b"CONNECT b.example:443 HTTP/1.1"), [405]),
    ("CONNECT with IPv6", line(b"CONNECT [::1]:443 HTTP/1.1"), [405]),
    ("CONNECT without a port", line(b"CONNECT b.example HTTP/1.1"), [400]),
    ("CONNECT with a path", line(b"CONNECT / HTTP/1.1"), [400]),
    ("CONNECT with an absolute target", line(b"CONNECT http://b:443/ HTTP/1.1"), [400]),
    ("CONNECT with an asterisk", line(b"CONNECT * HTTP/1.1"), [400]),
    ("an authority for GET", line(b"GET b.example:80 HTTP/1.1"), [400]),
    ("an authority for OPTIONS", line(b"OPTIONS b.example:80 HTTP/1.1"), [400]),
    ("no target", line(b"GET HTTP/1.1"), [400]),
    ("no target but both blanks", line(b"GET  HTTP/1.1"), [400]),
]

CASES = METHODS + BLANKS + VERSIONS + ORIGIN_FORM + ABSOLUTE_FORM + OTHER_FORMS
