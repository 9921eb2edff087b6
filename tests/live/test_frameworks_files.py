"""Files and uploads of real frameworks: ranges, conditions, the kernel's help and the validator's eye."""

import hashlib
import os

import httpx
import pytest
from live.server import wait_until
from live.wire import Wire, serving

UPLOAD = b"line\r\n--not the boundary\r\n" * 150_000  # 4 MB
FRAMEWORKS = ["flask", "bottle", "falcon", "django"]
EACH = pytest.mark.parametrize("app", [name + how for name in FRAMEWORKS for how in ("", "_validated")])
RANGES = {"flask", "bottle"}  # those that know them


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    name = tmp_path_factory.mktemp("files") / "file.bin"
    name.write_bytes(os.urandom(1 << 20) * 6)
    return name


@pytest.fixture(scope="module")
def sites(tmp_path_factory, file):
    """sites(app, *arguments) → a server; one for all tests that ask for the same."""
    started, contexts = {}, []

    def site(*arguments):
        if arguments not in started:
            directory = tmp_path_factory.mktemp("site")
            app, *rest = arguments
            contexts.append(serving(directory, f"files:{app}", "-e", f"FILE={file}", *rest))
            started[arguments] = contexts[-1].__enter__()
        return started[arguments]

    yield site
    for server, context in zip(started.values(), contexts, strict=True):
        log = server.log
        context.__exit__(None, None, None)
        assert "Traceback" not in log
        assert "Iterator garbage collected" not in log


def client_of(server):
    return httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=20)


@EACH
def test_a_file(sites, app, file):
    content, framework = file.read_bytes(), app.partition("_")[0]
    with client_of(sites(app)) as client:
        answer = client.get("/file")
        assert answer.content == content
        assert int(answer.headers["content-length"]) == len(content)
        assert answer.headers["content-type"] == "application/octet-stream"
        head = client.head("/file")
        assert (head.content, head.headers["content-length"]) == (b"", str(len(content)))
        if framework in RANGES:
            for asked, start, end in (("100-199", 100, 200), ("5000000-", 5_000_000, None), ("-10", -10, None)):
                part = client.get("/file", headers={"Range": f"bytes={asked}"})
                assert (part.status_code, part.content) == (206, content[start:end])
            assert client.get("/file", headers={"Range": "bytes=99999999-"}).status_code == 416
            modified = answer.headers["last-modified"]
            same = client.get("/file", headers={"If-Modified-Since": modified})
            assert (same.status_code, same.content) == (304, b"")
        assert client.get("/file").content == content


@EACH
@pytest.mark.parametrize("buffering", [(), ("--no-request-buffering",)], ids=["buffered", "streamed"])
def test_an_upload(sites, app, buffering):
    digest = hashlib.sha256(UPLOAD).hexdigest()
    with client_of(sites(app, *buffering)) as client:
        assert client.post("/upload", files={"file": ("name", UPLOAD)}).text == digest
        assert client.post("/raw", content=UPLOAD).text == digest
        assert client.post("/raw", content=b"").text == hashlib.sha256(b"").hexdigest()


@EACH
def test_a_chunked_upload(sites, app):
    """Frameworks read as many bytes as Content-Length says: a buffered body has one, however it came."""
    with client_of(sites(app)) as client:
        pieces = (UPLOAD[at : at + 300_000] for at in range(0, len(UPLOAD), 300_000))
        assert client.post("/raw", content=pieces).text == hashlib.sha256(UPLOAD).hexdigest()


@pytest.mark.parametrize("app", ["django", "django_validated"])
def test_a_framework_hears_of_the_end_when_its_client_leaves(sites, app):
    server, mark = sites(app), "^finished$"  # request_finished, on which Django closes its connections to databases
    before = server.count(mark)
    wire = Wire(server, receive_buffer=4096)
    wire.send(b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n").exactly(1000)
    wire.leave()
    wait_until(lambda: server.count(mark) > before, "the framework to hear of it")
    with client_of(server) as client:
        assert client.post("/raw", content=b"a").status_code == 200
