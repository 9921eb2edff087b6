"""A worker among clients that are slow, greedy, silent or gone: nobody waits for them, and a stop waits for all."""

import contextlib
import os
import resource
import select
import signal
import socket
import threading
import time

import pytest
from live.server import cpu_seconds, private_memory, wait_until
from live.wire import Wire, serving

pytestmark = pytest.mark.alone

GET = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture
def server(tmp_path):
    with serving(tmp_path / "server", "paces:application", "--keep-alive", "30") as server:
        yield server


@pytest.fixture(scope="module")
def large_file(tmp_path_factory):
    """700 MB that need no disk: a hole."""
    name = tmp_path_factory.mktemp("files") / "hole"
    with name.open("wb") as file:
        file.truncate(700_000_000)
    return name


def times_of(wire, seconds, meanwhile=lambda: None):
    """How long each of one client's requests took, while others do what they do."""
    times, end = [], time.perf_counter() + seconds
    while (begun := time.perf_counter()) < end:
        wire.send(GET % b"").response()
        times.append(time.perf_counter() - begun)
        meanwhile()
    return sorted(times)


def p99(times):
    return times[int(len(times) * 0.99)]


# -- nobody waits for the slow


def test_300_that_drip_and_1000_that_say_nothing(many_descriptors, tmp_path):
    """One byte a second each: a third of them heads, a third bodies, a third new requests on used connections."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serving(tmp_path / "server", "paces:application", "--keep-alive", "30"))
        for _ in range(1000):
            stack.enter_context(Wire(server))
        drips = [stack.enter_context(Wire(server)) for _ in range(300)]
        for at, drip in enumerate(drips):
            if at % 3 == 2:
                assert drip.send(GET % b"").response().status == 200
            drip.send((GET % b"")[:-4] + b"\r\nX: " if at % 3 != 1 else POST % 1000)
        begun, sent = time.perf_counter(), []

        def drop():
            while len(sent) < (time.perf_counter() - begun) * 300:
                sent.append(drips[len(sent) % 300].send(b"a"))

        quick = stack.enter_context(Wire(server))
        times = times_of(quick, 4, drop)
        assert len(sent) > 1000
        assert p99(times) < 0.050
        assert len(times) > 1000
        assert server.count("Invalid request") == 0


def test_slow_readers_take_neither_memory_nor_time(server):
    """Five readers of 200 MB each: what they haven't read is in files, and the worker is somebody else's."""
    [worker] = server.workers
    with contextlib.ExitStack() as stack:
        quick = stack.enter_context(Wire(server))
        quick.send(GET % b"").response()
        before = private_memory(worker)
        readers = []
        for number in range(1, 6):
            readers.append(stack.enter_context(Wire(server, receive_buffer=65536)))
            readers[-1].send(GET % b"generated")
            wait_until(lambda number=number: server.count("^generated$") == number, "the application to be done")
        assert private_memory(worker) - before < 8 << 20

        def read_a_little():
            for reader in readers[1:]:
                reader.exactly(20_000)

        assert p99(times_of(quick, 1, read_a_little)) < 0.050
        assert private_memory(worker) - before < 8 << 20
        for reader in readers[1:]:
            reader.leave()
        assert len(readers[0].response().body) == 3200 << 16
        wait_until(lambda: not temporary_files(worker), "the files to be closed", process=server.process)
        assert quick.send(GET % b"").response().status == 200


@pytest.mark.parametrize("target", ["file", "sized"])
def test_a_greedy_reader_gets_its_turn_and_no_more(server, large_file, target):
    """As fast as it can read: others are served in between."""
    query = str(large_file) if target == "file" else "300000000"
    with Wire(server) as greedy, Wire(server) as quick:
        assert quick.send(GET % b"").response().status == 200
        reader = threading.Thread(target=swallow, args=(greedy,))
        greedy.send(GET % f"{target}?{query}".encode())
        greedy.until(b"\r\n\r\n")
        reader.start()
        times = []
        while reader.is_alive():
            begun = time.perf_counter()
            quick.send(GET % b"").response()
            times.append(time.perf_counter() - begun)
        reader.join()
        assert max(times[1:]) < 0.25
        assert len(times) > 20


def swallow(wire):
    """Read an answer as fast as it goes, to the end of what its Content-Length says, or of the connection."""
    buffer = bytearray(1 << 20)
    wire.socket.settimeout(0.5)
    with contextlib.suppress(TimeoutError):
        while wire.socket.recv_into(buffer):
            pass


def test_what_comes_for_a_client_that_has_left(server):
    [worker] = server.workers
    for _ in range(3):
        wire = Wire(server, receive_buffer=4096)
        wire.send(GET % b"generated?1600")
        wire.exactly(100_000)
        wire.leave()
        assert server.get()[0] == 200
    wait_until(lambda: not temporary_files(worker), "the files to be closed", process=server.process)
    assert server.count("Traceback") == 0


def temporary_files(pid):
    folder, links = f"/proc/{pid}/fd", []
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(f"{folder}/{name}"))
    return [link for link in links if link.endswith("(deleted)") and not link.startswith("/memfd:")]


# -- a stop waits for all


def test_a_stop_completes_whatever_has_begun(server, large_file, tmp_path):
    """The worker is busy when TERM comes; everybody else is somewhere between connecting and reading the answer."""
    gate = tmp_path / "open"
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(server, receive_buffer=65536)) for _ in range(9)]
        busy, idle, racing, head, body, spooled, large, file, generated = wires
        for used in (idle, racing, head):
            assert used.send(GET % b"").response().status == 200
        head.send((GET % b"")[:20])
        body.send(POST % 10, b"01234")
        spooled.send(POST % 3_000_000, b"x" * 2_000_000)
        large.send(GET % b"sized?9000000").exactly(1000)
        file.send(GET % f"file?{large_file}".encode()).exactly(1000)
        generated.send(GET % b"generated?160").exactly(1000)
        server.wait_for("^generated$")
        busy.send(GET % f"gate?{gate}".encode())
        server.wait_for("^at the gate$")
        queued = [stack.enter_context(Wire(server)) for _ in range(20)]
        for each in queued[:-1]:
            each.send(GET % b"")
        racing.send(GET % b"")
        server.signal(signal.SIGTERM)
        server.wait_for("Handling signal: term")
        gate.touch()
        for answered in (busy, racing, *queued[:-1]):
            answer = answered.response()
            assert (answer.status, answer.body) == (200, b"ok")
            assert answered.ended
        assert queued[-1].send(GET % b"").response().body == b"ok"  # it had connected, that is enough
        assert idle.ended
        assert head.send((GET % b"")[20:]).response().body == b"ok"
        assert body.send(b"56789").response().body == b"0123456789"
        assert spooled.send(b"x" * 1_000_000).response().body == b"x" * 3_000_000
        assert len(large.rest()) + 1000 > 9_000_000
        assert generated.rest().endswith(b"\r\n0\r\n\r\n")
        received = 1000 + len(file.ahead)
        while data := file.socket.recv(1 << 20):
            received += len(data)
        assert received > 700_000_000
    assert server.wait() == 0
    assert server.count(r"\[(WARNING|ERROR|CRITICAL)\]") == 0


def test_a_stop_under_load_comes_to_an_end(tmp_path):
    """Clients that come again and again may not keep a leaving worker: it takes who waits, then closes the door."""
    with serving(tmp_path / "server", "paces:application", "--graceful-timeout", "20") as server:
        outcomes, stop = [], threading.Event()
        clients = [threading.Thread(target=come_again, args=(server.port, outcomes, stop)) for _ in range(12)]
        for client in clients:
            client.start()
        wait_until(lambda: len(outcomes) > 30, "answers")
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < 4
        stop.set()
        for client in clients:
            client.join()
        assert server.count("SIGKILL") == 0
    assert set(outcomes) <= {"answered", "refused", "reset"}
    assert outcomes.count("reset") <= 1  # connected in the microseconds between the last look and the closing


def come_again(port, outcomes, stop):
    while not stop.is_set():
        try:
            connection = socket.create_connection(("127.0.0.1", port), 20)
        except ConnectionError:
            outcomes.append("refused")
            return
        with connection:
            try:
                connection.sendall(GET % b"nap?0.01")
                data = b""
                while not data.endswith(b"ok"):
                    data += (piece := connection.recv(1000))
                    if not piece:
                        break
            except ConnectionError:
                outcomes.append("reset" if not data else "broken")
                continue
            outcomes.append("answered" if data.endswith(b"ok") else "cut")


# -- no descriptors


@contextlib.contextmanager
def few_descriptors(number):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_a_descriptor_to_spare(tmp_path, large_file):
    """Those who are in are served, with bodies and answers that would like a file; those who wait cost nothing."""
    with contextlib.ExitStack() as stack:
        with few_descriptors(40):
            server = stack.enter_context(serving(tmp_path / "server", "paces:application", "--keep-alive", "30"))
        [worker] = server.workers
        inside, slow = stack.enter_context(Wire(server)), stack.enter_context(Wire(server, receive_buffer=65536))
        for wire in (inside, slow):
            assert wire.send(GET % b"").response().status == 200
        crowd = [stack.enter_context(Wire(server)) for _ in range(64)]
        for each in crowd:
            each.send(GET % b"")
        server.wait_for("Can't accept a connection: Too many open files")
        before = cpu_seconds(worker)
        select.select((), (), (), 1.0)
        assert cpu_seconds(worker) - before < 0.1
        for _ in range(3):
            assert inside.send(GET % b"").response().body == b"ok"
        assert inside.send(POST % 500_000, b"x" * 500_000).response().body == b"x" * 500_000
        slow.send(GET % b"generated?160")
        assert len(slow.response().body) == 160 * 65536
        slow.send(GET % f"file?{large_file}".encode())
        received = slow.exactly(1000) and 1000
        while received < 100_000_000:  # of a file that should wait under a descriptor of its own
            received += len(slow.more(b""))
        slow.leave()
        for each in crowd:
            answer = each.response()  # as the others leave
            assert answer.body == b"ok"
            each.socket.close()
        with Wire(server) as late:
            assert late.send(POST % 3_000_000, b"x" * 3_000_000).response().body == b"x" * 3_000_000
        assert server.count("Too many open files") < 5
        assert server.count("Traceback") == 0
        assert server.stop() == 0
