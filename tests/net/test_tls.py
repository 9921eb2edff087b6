"""Contexts from settings, and connections under TLS whose client takes one step at a time in the same thread."""

import os
import random
import socket
import ssl

import pytest
from certificates import Authority
from net.serving import Alarm, Told, hello

from corral.config.settings import Config
from corral.errors import ConfigError
from corral.net.connection import Connection
from corral.net.handshake import Handshaking
from corral.net.reactor import SECOND, monotonic
from corral.net.states import Flushing
from corral.net.tls import TlsStream, make_context, prepare_context

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
LEAVE = b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
STEP = SECOND // 500


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def files(authority, tmp_path_factory):
    """Paths by what is right or wrong with them."""
    directory = tmp_path_factory.mktemp("files")
    good, other, locked = authority.issue(), authority.issue(), authority.issue(password="secret")
    junk = directory / "junk"
    junk.write_text("nothing\n")
    broken = directory / "broken"
    broken.write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    both = directory / "both"
    both.write_text("".join(map(read, good)))
    return {
        "good.pem": good.certfile, "good.key": good.keyfile, "other.key": other.keyfile, "locked.pem": locked.certfile,
        "locked.key": locked.keyfile, "junk": str(junk), "broken": str(broken), "both": str(both),
        "authority": authority.file, "missing": str(directory / "missing"), "directory": str(directory),
    }  # fmt: skip


def read(path):
    with open(path) as file:
        return file.read()


def configure(files, **settings):
    return Config(**{name: files.get(value, value) for name, value in settings.items()})


# -- contexts


GOOD = {"certfile": "good.pem", "keyfile": "good.key"}


@pytest.mark.parametrize(("settings", "complaint"), [
    pytest.param({**GOOD, "certfile": "missing"}, "certfile '.*missing': No such file", id="no such certificate"),
    pytest.param({**GOOD, "keyfile": "missing"}, "keyfile '.*missing': No such file", id="no such key"),
    pytest.param({**GOOD, "certfile": "directory"}, "certfile '.*': Is a directory", id="can't be read"),
    pytest.param({"keyfile": "good.key"}, "keyfile is set and certfile isn't", id="a key without certificate"),
    pytest.param({"certfile": "good.pem"}, "certfile '.*' holds no private key in PEM, and keyfile isn't set",
                 id="a certificate without key"),
    pytest.param({**GOOD, "certfile": "junk"}, "certfile '.*junk' holds no certificate", id="no certificate in it"),
    pytest.param({**GOOD, "keyfile": "junk"}, "keyfile '.*junk' holds no private key in PEM$", id="no key in it"),
    pytest.param({**GOOD, "certfile": "broken"}, "certfile '.*broken', keyfile .*: ", id="half a certificate"),
    pytest.param({**GOOD, "keyfile": "other.key"}, "keyfile '.*' is not the key of the certificate",
                 id="another's key"),
    pytest.param({"certfile": "locked.pem", "keyfile": "locked.key"}, "keyfile '.*' needs a password",
                 id="a key with a password"),
    pytest.param({**GOOD, "ca_certs": "missing"}, "ca_certs '.*missing': No such file", id="no such authorities"),
    pytest.param({**GOOD, "ca_certs": "junk"}, "ca_certs '.*junk': no certificate or crl found",
                 id="no authorities in it"),
    pytest.param({**GOOD, "cert_reqs": 2}, "ca_certs doesn't say whose", id="certificates that nobody may sign"),
    pytest.param({**GOOD, "ciphers": "NONSENSE"}, "ciphers 'NONSENSE'", id="no such cipher"),
])  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(files, settings, complaint):
    with pytest.raises(ConfigError, match=complaint) as caught:
        prepare_context(configure(files, **settings))
    assert "\n" not in str(caught.value)
    assert "_ssl.c" not in str(caught.value)


def test_a_context_is_strict(files):
    context = make_context(configure(files, **GOOD, ciphers="ECDHE+AESGCM"))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert not context.options & ssl.OP_NO_TICKET
    assert context.verify_mode is ssl.CERT_NONE
    assert all("GCM" in cipher["name"] or cipher["protocol"] == "TLSv1.3" for cipher in context.get_ciphers())


def test_certificate_and_key_may_stand_in_one_file(files):
    assert make_context(configure(files, certfile="both")).cert_store_stats()["x509"] == 0


def test_a_hook_gets_the_settings_and_the_default(files):
    calls = []

    def hook(config, factory):
        calls.append(config)
        context = factory()
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return context

    config = configure(files, **GOOD, ssl_context=hook)
    factory = prepare_context(config)
    assert calls == []  # it is for the worker
    assert make_context(config, factory).minimum_version is ssl.TLSVersion.TLSv1_3
    assert calls == [config]


def test_a_hook_may_do_without_the_files(files):
    made = make_context(configure(files, **GOOD))
    config = configure(files, certfile="missing", ssl_context=lambda config, factory: made)
    assert make_context(config, prepare_context(config)) is made


def test_a_hook_that_asks_for_what_is_not_there_is_told(files):
    config = configure(files, certfile="missing", ssl_context=lambda config, factory: factory())
    factory = prepare_context(config)
    with pytest.raises(ConfigError, match=r"certfile '.*missing'"):
        make_context(config, factory)


def test_a_hook_must_return_a_context(files):
    with pytest.raises(ConfigError, match=r"must return an ssl\.SSLContext, it returned None"):
        make_context(configure(files, **GOOD, ssl_context=lambda config, factory: None))


# -- connections


class Client:
    """TLS over one end of a socketpair; whenever it has to wait the server has a turn. Sends `drip` bytes at a time."""

    def __init__(self, service, sock, context, drip, session=None):
        self.service = service
        self.socket = sock
        self.drip = drip
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost", session=session)
        self.sealed = b""

    def step(self):
        """Some bytes out, a turn of the server, some bytes in."""
        self.sealed += self.outgoing.read()
        try:
            if self.sealed:
                self.sealed = self.sealed[self.socket.send(self.sealed[: self.drip]) :]
        except BlockingIOError:
            pass
        turn(self.service)
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()

    def do(self, call, *arguments):
        """Call, and step as long as it wants to wait."""
        end = monotonic() + 20 * SECOND
        while monotonic() < end:
            try:
                return call(*arguments)
            except ssl.SSLWantReadError:
                self.step()
        raise AssertionError("waited too long")

    def handshake(self):
        self.do(self.tls.do_handshake)
        while self.sealed or self.outgoing.pending:
            self.step()
        return self

    def send(self, data):
        view = memoryview(data)
        while view:
            view = view[self.do(self.tls.write, view[:100_000]) :]
            while self.sealed or self.outgoing.pending:
                self.step()
        return self

    def receive(self, length):
        """So many bytes, or fewer at the end; an end without close_notify is an error."""
        pieces = []
        while length > 0 and (data := self.do(self.tls.read, min(length, 1 << 16))):
            pieces.append(data)
            length -= len(data)
        return b"".join(pieces)

    def response(self):
        """The body of one that says its length."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self.receive(1)
            assert byte, head
            head += byte
        assert head.startswith(b"HTTP/1.1 200 "), head
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        return self.receive(int(fields[b"Content-Length"]))


def turn(service):
    wake = Alarm(service.reactor, STEP)
    service.turn()
    service.reactor.cancel(wake)


@pytest.fixture
def connect(files):
    made = []

    def make(app=hello, *, context=None, client=None, drip=1 << 16, buffer=None, session=None, **options):
        service = Told(app, **options)
        context = context or make_context(configure(files, **GOOD))
        theirs, ours = socket.socketpair()
        if buffer:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        for end in (ours, theirs):
            end.setblocking(False)
        connection = Connection(ours.detach(), "", service.origin())
        Handshaking(connection, TlsStream(connection.fd, context)).begin()
        client = client or ssl.create_default_context(cafile=files["authority"])
        made.append((service, connection, theirs))
        return service, connection, Client(service, theirs, client, drip, session)

    yield make
    for service, connection, theirs in made:
        theirs.close()
        connection.close()
        service.reactor.close()
        assert (service.connections, service.reactor.handlers) == (0, {})


def environ_of(seen):
    def app(environ, start_response):
        seen.append(environ)
        start_response("200 OK", [("Content-Length", "0")])
        return []

    return app


@pytest.mark.parametrize("drip", [1, 7, 100, 1 << 16])
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_requests_in_any_pieces(connect, files, drip, version):
    context = ssl.create_default_context(cafile=files["authority"])
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    service, _, client = connect(client=context, drip=drip)
    client.handshake()
    assert client.send(GET + POST % 5 + b"hello" + GET).response() == b"/a"
    assert client.response() == b"hello"
    assert client.response() == b"/a"
    assert client.send(GET).response() == b"/a"
    assert [line.split()[0] for line in service.told] == ["begin", "end"] * 4


def test_the_protocol_is_agreed_on(connect, files):
    context = ssl.create_default_context(cafile=files["authority"])
    context.set_alpn_protocols(["h2", "http/1.1"])
    _, _, client = connect(client=context)
    assert client.handshake().tls.selected_alpn_protocol() == "http/1.1"


def test_a_request_with_the_end_of_the_handshake(connect):
    """Both come in one read, and no event announces the second."""
    _, _, client = connect()
    client.do(client.tls.do_handshake)  # its last flight is still here
    client.tls.write(GET)
    assert client.response() == b"/a"


@pytest.mark.parametrize("size", [1, 16_384, 16_385, 32_768, 100_000, 1_500_000, 10_000_000])
def test_a_body_of_any_size(connect, size):
    body = random.Random(size).randbytes(size)
    _, _, client = connect()
    client.handshake()
    assert client.send(POST % size + body + GET).response() == body
    assert client.response() == b"/a"


def test_many_pipelined_requests_in_one_record_and_across(connect):
    _, _, client = connect()
    client.handshake().send(GET * 2000)
    assert [client.response() for _ in range(2000)] == [b"/a"] * 2000


def test_a_slow_reader_is_waited_for_and_heard_again(connect):
    body = random.Random(1).randbytes(3_000_000)

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return (body[at : at + 70_001] for at in range(0, len(body), 70_001))

    service, connection, client = connect(app, buffer=10_000)
    client.handshake().send(GET)
    assert isinstance(service.reactor.handlers[connection.fd], Flushing)
    assert client.response() == body
    assert client.send(GET).response() == body


def test_a_file_to_a_slow_reader(connect, tmp_path):
    content = random.Random(2).randbytes(2_000_000)
    (tmp_path / "file").write_bytes(content)

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", str(len(content)))])
        return environ["wsgi.file_wrapper"](open(tmp_path / "file", "rb"))

    service, connection, client = connect(app, buffer=10_000)
    client.handshake().send(GET + GET)
    assert isinstance(service.reactor.handlers[connection.fd], Flushing)
    assert [client.response(), client.response()] == [content, content]


def test_a_stream_is_read_as_it_comes(connect):
    seen = []

    def app(environ, start_response):
        seen.append(environ["wsgi.input"].read(3))
        client.tls.write(b"lo")  # not before the first three are here
        client.socket.send(client.outgoing.read())
        seen.append(environ["wsgi.input"].read())
        start_response("200 OK", [("Content-Length", "0")])
        return []

    _, _, client = connect(app, streaming=True)
    client.handshake().send(POST % 5 + b"hel")
    assert client.response() == b""
    assert seen == [b"hel", b"lo"]


# -- what an application sees


def test_the_socket_tells_of_the_session(connect, files, authority):
    seen = []
    customer = authority.issue("customer")
    context = ssl.create_default_context(cafile=files["authority"])
    context.load_cert_chain(*customer)
    asking = make_context(configure(files, **GOOD, ca_certs="authority", cert_reqs=2))
    _, connection, client = connect(environ_of(seen), context=asking, client=context)
    client.handshake().send(GET).response()
    peer = seen[0]["gunicorn.socket"]
    assert dict(pair for pairs in peer.getpeercert()["subject"] for pair in pairs) == {"commonName": "customer"}
    assert peer.version() == "TLSv1.3"
    assert peer.cipher()[1] == "TLSv1.3"
    assert peer.fileno() == connection.fd
    assert peer.family is socket.AF_UNIX
    peer.close()


@pytest.mark.parametrize("name", ["send", "sendall", "recv", "recv_into", "makefile"])
def test_the_socket_moves_no_bytes_past_tls(connect, name):
    seen = []
    _, _, client = connect(environ_of(seen))
    client.handshake().send(GET).response()
    with pytest.raises(OSError, match="would go past TLS"):
        getattr(seen[0]["gunicorn.socket"], name)


def test_a_session_goes_on_in_another_connection(connect, files):
    context = make_context(configure(files, **GOOD))
    customer = ssl.create_default_context(cafile=files["authority"])
    _, _, first = connect(context=context, client=customer)
    first.handshake().send(GET).response()
    _, _, second = connect(context=context, client=customer, session=first.tls.session)
    second.handshake()
    assert second.tls.session_reused


# -- clients that speak something else, or nothing


@pytest.mark.parametrize("said", [GET, b"G", b"OPTIONS * HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
def test_http_in_the_clear_is_told_so_in_the_clear(connect, said):
    service, _, client = connect()
    received, closed = service.exchange_bytes(client.socket, said)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"this is an HTTPS port" in received
    assert closed
    assert service.told == ["refused 400 -"]


@pytest.mark.parametrize("said", [
    pytest.param(b"\x16\x03\x01\x00\x05hello", id="a record of nonsense"),
    pytest.param(b"\x00" * 50, id="zeros"),
    pytest.param(b"\x80\x2e\x01\x03\x01" + b"\x00" * 45, id="SSL 2"),
    pytest.param(b"\xff" * 70_000, id="much"),
])  # fmt: skip
def test_junk_gets_an_alert_and_no_http(connect, said):
    service, _, client = connect()
    received, closed = service.exchange_bytes(client.socket, said)
    assert received[:1] in (b"\x15", b"")
    assert b"HTTP" not in received
    assert closed
    assert service.told == ["refused 400 -"]


def hello_of(client):
    """Its first flight."""
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    return client.outgoing.read()


@pytest.mark.parametrize("part", [0, 1, 100, None], ids=["nothing", "a byte", "a piece", "all of the first flight"])
def test_a_handshake_has_a_deadline(connect, part):
    service, connection, client = connect(header=0.1)
    client.socket.send(hello_of(client)[:part])
    service.until(lambda: connection.fd < 0)
    assert (service.told, service.connections) == ([], 0)


@pytest.mark.parametrize("part", [0, 1, 100, None], ids=["nothing", "a byte", "a piece", "all of the first flight"])
def test_a_client_that_leaves_during_the_handshake_is_nobodys_fault(connect, part):
    service, connection, client = connect()
    client.socket.send(hello_of(client)[:part])
    client.socket.close()
    service.until(lambda: connection.fd < 0)
    assert (service.told, service.connections) == ([], 0)


def test_a_client_without_room_for_the_handshake_is_waited_for(connect):
    service, connection, client = connect(buffer=1)
    ours = socket.socket(fileno=os.dup(connection.fd))
    with ours:
        filled = 0
        try:
            while True:
                filled += ours.send(b"x" * 1000)
        except BlockingIOError:
            pass
    client.socket.send(hello_of(client))
    turn(service)
    handshaking = service.reactor.handlers[connection.fd]
    assert isinstance(handshaking, Handshaking)
    assert handshaking.stream.blocked
    while filled:
        filled -= len(client.socket.recv(filled))
    assert client.handshake().send(GET).response() == b"/a"


def test_a_client_without_a_certificate_is_refused(connect, files):
    asking = make_context(configure(files, **GOOD, ca_certs="authority", cert_reqs=2))
    service, connection, client = connect(context=asking)
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
        client.handshake().receive(1)
    client.socket.close()
    service.until(lambda: connection.fd < 0)
    assert service.told == ["refused 400 -"]


def test_a_client_may_do_without_where_it_is_only_asked(connect, files):
    seen = []
    asking = make_context(configure(files, **GOOD, ca_certs="authority", cert_reqs=1))
    _, _, client = connect(environ_of(seen), context=asking)
    client.handshake().send(GET).response()
    assert seen[0]["gunicorn.socket"].getpeercert() is None


# -- ends


def test_the_end_of_a_connection_is_said(connect):
    _, _, client = connect()
    client.handshake().send(LEAVE)
    assert client.receive(1 << 20).endswith(b"\r\n\r\n/a")


def test_the_end_behind_a_long_answer_is_said(connect):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [b"x" * 100_000] * 10

    _, _, client = connect(app, buffer=10_000)
    client.handshake().send(b"GET / HTTP/1.0\r\n\r\n")
    assert len(client.receive(1 << 21).partition(b"\r\n\r\n")[2]) == 1_000_000


def test_the_end_of_a_silence_is_said(connect):
    _, _, client = connect(keepalive=0.1)
    assert client.handshake().send(GET).response() == b"/a"
    assert client.receive(1) == b""


def test_a_client_that_says_its_end(connect):
    service, connection, client = connect()
    client.handshake().send(GET).response()
    client.do(client.tls.unwrap)
    service.until(lambda: connection.fd < 0)


@pytest.mark.parametrize("said", [b"", GET[:-1], POST % 5, POST % 5 + b"hell"],
                         ids=["nothing", "a head", "no body", "a body"])  # fmt: skip
def test_a_client_that_leaves_without_a_word(connect, said):
    service, connection, client = connect()
    client.handshake().send(said)
    client.socket.close()
    service.until(lambda: connection.fd < 0)
    assert service.told == []


def test_a_reader_who_leaves_is_left(connect):
    service, connection, client = connect(lambda environ, start: [start("200 OK", []), [b"x" * 3_000_000]][1])
    client.handshake().send(GET)
    client.socket.close()
    service.until(lambda: connection.fd < 0)


def test_bytes_that_were_changed_on_their_way_end_the_connection(connect):
    service, connection, client = connect()
    client.handshake()
    client.tls.write(GET)
    sealed = bytearray(client.outgoing.read())
    sealed[-1] ^= 1
    client.socket.send(sealed)
    service.until(lambda: connection.fd < 0)
    assert service.told == []


def test_a_broken_request_is_answered_and_ended(connect):
    service, connection, client = connect()
    client.handshake().send(b"nonsense\r\n\r\n")
    assert client.receive(1 << 20).startswith(b"HTTP/1.1 400 ")
    client.socket.close()
    service.until(lambda: connection.fd < 0)
