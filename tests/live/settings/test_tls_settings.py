"""What the settings of TLS do, in a handshake."""

import ssl
from pathlib import Path

import pytest
from live.settings.stage import Group, Row, check, each

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
CIPHER = "ECDHE-ECDSA-AES128-GCM-SHA256"
HOOK = """
def ssl_context(config, default_ssl_context_factory):
    import ssl
    context = default_ssl_context_factory()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context
"""
NAMES = ("server.pem", "server.key", "authority.pem", "client.pem", "client.key")


@pytest.fixture(scope="module")
def files(authority):
    """Every stage has the same ones in its directory."""
    paths = (*authority.issue(), authority.file, *authority.issue("customer"))
    return {name: Path(path).read_text() for name, path in zip(NAMES, paths, strict=True)}


def talk(stage, *, certificate=False, version=None):
    """A handshake and a request: version, cipher, and what the application saw; None if refused."""
    context = ssl.create_default_context(cafile=stage.directory / "authority.pem")
    if certificate:
        context.load_cert_chain(stage.directory / "client.pem", stage.directory / "client.key")
    if version is not None:
        context.maximum_version = version
    try:
        with context.wrap_socket(stage.server.connect(), server_hostname="localhost") as connection:
            connection.sendall(GET)
            answer = b""
            while data := connection.recv(65536):
                answer += data
            return (connection.version(), connection.cipher()[0], answer.decode()) if answer else None
    except (ssl.SSLError, ConnectionError):
        return None


def served(stage):
    return talk(stage) is not None


def cipher(stage):
    return talk(stage, certificate=True, version=ssl.TLSVersion.TLSv1_2)[1] == CIPHER


def client(stage):
    return "customer" in talk(stage, certificate=True)[2]


TLS = {"certfile": "server.pem", "keyfile": "server.key"}
GROUPS = (
    Group((Row("certfile", "server.pem", served, False, True), Row("keyfile", "server.key", served, False, True))),
    Group((
        Row("ciphers", CIPHER, cipher, False, True),
        Row("ca_certs", "authority.pem", client, False, True),
        Row("cert_reqs", 2, served, True, False),
    ), base=TLS),
)  # fmt: skip


@pytest.mark.parametrize(("group", "row"), each(GROUPS))
def test_the_effect_of(stage, files, group, row):
    check(stage, group._replace(files=files), row)


def test_ssl_context(make_server, files):
    """A hook is no value that a row could write; the other hooks have tests of their own."""
    server = make_server()
    for name, text in {**files, "gunicorn.conf.py": HOOK}.items():
        server.write(name, text)
    server.start("hello:app", "--certfile", "server.pem", "--keyfile", "server.key")
    context = ssl.create_default_context(cafile=server.directory / "authority.pem")
    with context.wrap_socket(server.connect(), server_hostname="localhost") as connection:
        assert connection.version() == "TLSv1.2"
