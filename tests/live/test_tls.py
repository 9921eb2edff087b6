"""HTTPS as clients meet it: httpx and curl, which verify what they are shown, and clients that have no manners."""

import hashlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
from signal import SIGHUP, SIGKILL

import httpx
import pytest
from certificates import Authority
from live.server import children_of, wait_until

APP = """
import hashlib
import json
import os
import sys

CONTENT = bytes(range(256)) * 40_000


def app(environ, start_response):
    if environ["PATH_INFO"] == "/content":
        start_response("200 OK", [("Content-Length", str(len(CONTENT)))])
        return [CONTENT]
    if environ["PATH_INFO"] == "/file":
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](open("content", "rb"))
    body = environ["wsgi.input"].read()
    peer = environ["gunicorn.socket"]
    said = {
        "pid": os.getpid(),
        "scheme": environ["wsgi.url_scheme"],
        "port": environ["SERVER_PORT"],
        "digest": hashlib.sha256(body).hexdigest(),
        "certificate": peer.getpeercert() if hasattr(peer, "_tls") else None,
        "ssl": "ssl" in sys.modules,
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(said).encode()]
"""
CONTENT = bytes(range(256)) * 40_000
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def server(make_server, authority):
    """One that has cert.pem and cert.key in its directory."""
    server = make_server(shop=APP)
    (server.directory / "content").write_bytes(CONTENT)
    install(server, authority.issue())
    return server


def install(server, certificate):
    for source, target in zip(certificate, ("cert.pem", "cert.key"), strict=True):
        shutil.copy(source, server.directory / target)


def start(server, *arguments, **options):
    return server.start("shop:app", "--certfile", "cert.pem", "--keyfile", "cert.key", *arguments, **options)


@pytest.fixture
def trusting(authority):
    return ssl.create_default_context(cafile=authority.file)


def url(server, path="/"):
    return f"https://localhost:{server.port}{path}"


def curl(server, authority, *arguments, path="/"):
    command = ["curl", "--silent", "--show-error", "--cacert", authority.file, *arguments, url(server, path)]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tls(server, context, **options):
    return context.wrap_socket(server.connect(), server_hostname="localhost", **options)


def serial_of(server, context):
    with tls(server, context) as connection:
        return int(connection.getpeercert()["serialNumber"], 16)


def test_a_client_with_keep_alive(server, trusting):
    start(server)
    assert re.search(r"Listening at: https://127\.0\.0\.1:\d+ ", server.log)
    with httpx.Client(verify=trusting) as client:
        answers = [client.get(url(server)) for _ in range(5)]
    assert {answer.json()["scheme"] for answer in answers} == {"https"}
    assert answers[0].json()["port"] == str(server.port)
    assert answers[0].json()["certificate"] is None
    assert len({answer.extensions["network_stream"] for answer in answers}) == 1


def test_curl_down_and_up(server, authority, tmp_path):
    start(server)
    assert curl(server, authority, path="/content") == CONTENT
    assert curl(server, authority, path="/file") == CONTENT
    assert curl(server, authority, "--http1.0", path="/content") == CONTENT
    assert curl(server, authority, "--http1.0", path="/file") == CONTENT
    (tmp_path / "upload").write_bytes(CONTENT)
    digest = hashlib.sha256(CONTENT).hexdigest()
    for header in ("Expect:", "Expect: 100-continue", "Transfer-Encoding: chunked"):
        said = curl(server, authority, "--data-binary", f"@{tmp_path / 'upload'}", "--header", header)
        assert json.loads(said)["digest"] == digest


def test_a_slow_reader_holds_nobody_up(server, trusting):
    start(server)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(20)
        slow.connect(("127.0.0.1", server.port))
        with trusting.wrap_socket(slow, server_hostname="localhost") as reader:
            reader.sendall(b"GET /content HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            received = reader.recv(1000)
            assert httpx.get(url(server), verify=trusting).status_code == 200
            while piece := reader.recv(100_000):
                received += piece
    assert received.partition(b"\r\n\r\n")[2] == CONTENT


def test_a_pipeline(server, trusting):
    start(server)
    with tls(server, trusting) as connection:
        connection.sendall(GET * 99 + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        received = b""
        while piece := connection.recv(100_000):
            received += piece
    assert received.count(b"HTTP/1.1 200 OK") == 100


def test_client_certificates(server, authority, trusting):
    start(server, "--ca-certs", authority.file, "--cert-reqs", "2")
    with pytest.raises(httpx.HTTPError):
        httpx.get(url(server), verify=trusting)
    server.wait_for("Invalid request from ip=127.0.0.1: 400, TLS: peer did not return a certificate")
    trusting.load_cert_chain(*authority.issue("customer"))
    subject = httpx.get(url(server), verify=trusting).json()["certificate"]["subject"]
    assert subject == [[["commonName", "customer"]]]


def test_a_stranger_s_certificate(server, authority, trusting, tmp_path):
    start(server, "--ca-certs", authority.file, "--cert-reqs", "1")
    trusting.load_cert_chain(*Authority(tmp_path).issue("stranger"))
    with pytest.raises(httpx.HTTPError):
        httpx.get(url(server), verify=trusting)


def test_clients_without_manners(server, trusting):
    """None of them holds up the others, and each is gone in the end."""
    start(server, "--header-timeout", "1")
    silent, halfway, junk = server.connect(), server.connect(), server.connect()
    halfway.sendall(b"\x16\x03\x01\x02\x00\x01")
    junk.sendall(os.urandom(1).replace(b"\x16", b"\x00") + b"\x00" * 1000)
    assert server.get()[0] == 400
    server.wait_for("this is an HTTPS port")
    assert httpx.get(url(server), verify=trusting).status_code == 200
    for client in (silent, halfway, junk):
        with client:
            while client.recv(1000):
                pass


def test_renegotiation_is_refused(server, authority):
    start(server)
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_2", "-CAfile", authority.file]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        client.stdin.write(b"R\n")
        client.stdin.flush()
        said = client.stdout.read()
    assert b"Verify return code: 0 (ok)" in said
    assert b"no renegotiation" in said


def test_keys_are_renewed_between_requests(server, authority):
    start(server)
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_3", "-CAfile", authority.file]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        for said, heard in ((b"K\n", b"KEYUPDATE"), (GET, b"200 OK"), (b"K\n", b"KEYUPDATE"), (GET, b"200 OK")):
            client.stdin.write(said)
            client.stdin.flush()
            while heard not in client.stdout.readline():
                assert client.poll() is None
        client.kill()


def test_sessions_go_on_in_another_worker(server, trusting):
    start(server)
    first = server.workers
    with tls(server, trusting) as connection:
        connection.sendall(GET)
        connection.recv(1)
        session = connection.session
    os.kill(first[0], SIGKILL)
    server.wait_for("Ready: |Booting worker")
    with tls(server, trusting, session=session) as connection:
        assert connection.session_reused
    assert server.workers != first


def test_a_renewed_certificate_comes_with_a_reload(server, authority, trusting):
    start(server, "-w", "2")
    before = serial_of(server, trusting)
    renewed = authority.issue()
    install(server, renewed)
    assert serial_of(server, trusting) == before  # not by halves
    server.signal(SIGHUP)
    server.wait_for("Reload complete")
    wait_until(lambda: server.count("Worker exiting") == 2, "the old workers' end")
    assert {serial_of(server, trusting) for _ in range(5)} == {before + 1}


def test_a_reload_with_a_broken_certificate_changes_nothing(server, authority, trusting):
    start(server)
    before, workers = serial_of(server, trusting), server.workers
    shutil.copy(authority.issue().keyfile, server.directory / "cert.key")
    server.signal(SIGHUP)
    server.wait_for("keyfile 'cert.key' is not the key of the certificate in certfile 'cert.pem'")
    assert serial_of(server, trusting) == before
    assert server.workers == workers


@pytest.mark.parametrize(("keyfile", "complaint"), [
    pytest.param("other.key", "keyfile 'other.key' is not the key of the certificate in certfile 'cert.pem'",
                 id="another's key"),
    pytest.param("missing.key", "keyfile 'missing.key': No such file or directory", id="no key"),
    pytest.param("locked.key", "keyfile 'locked.key' needs a password", id="a key with a password"),
])  # fmt: skip
def test_a_start_with_a_wrong_key_leaves_nothing_behind(server, authority, keyfile, complaint):
    shutil.copy(authority.issue().keyfile, server.directory / "other.key")
    shutil.copy(authority.issue(password="secret").keyfile, server.directory / "locked.key")
    path = server.directory / "socket"
    server.start("shop:app", "-b", f"unix:{path}", "--certfile", "cert.pem", "--keyfile", keyfile, "-p", "pid",
                 wait=None)  # fmt: skip
    assert server.wait() == 1
    assert [line for line in server.log.splitlines() if "INFO" not in line and complaint in line]
    assert len([line for line in server.log.splitlines() if "INFO" not in line]) == 1
    assert not path.exists()
    assert not (server.directory / "pid").exists()


def test_the_hook_is_called_once_a_worker(server, trusting):
    server.write(
        "gunicorn.conf.py",
        "import os, ssl\n"
        "def ssl_context(config, default_ssl_context_factory):\n"
        "    context = default_ssl_context_factory()\n"
        "    context.minimum_version = ssl.TLSVersion.TLSv1_3\n"
        "    print('hook', os.getpid(), config.certfile, flush=True)\n"
        "    return context\n",
    )
    start(server, "-w", "2")
    for _ in range(5):
        httpx.get(url(server), verify=trusting)
    called = re.findall(r"^hook (\d+) cert.pem$", server.log, re.MULTILINE)
    assert sorted(map(int, called)) == sorted(server.workers)
    trusting.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(httpx.HTTPError):
        httpx.get(url(server), verify=trusting)


def test_a_hook_that_fails_never_opens_the_port_in_the_clear(server):
    server.write("gunicorn.conf.py", "def ssl_context(config, default_ssl_context_factory):\n    return 1 / 0\n")
    start(server, wait=None)
    assert server.wait() == 3
    assert "ZeroDivisionError" in server.log
    assert children_of(server.pid) == []


def test_who_has_no_certificate_pays_nothing(server):
    server.start("shop:app")
    assert json.loads(server.get()[1].split(b"\r\n")[-1])["ssl"] is False
