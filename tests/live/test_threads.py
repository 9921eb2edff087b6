"""Threads among requests of 10 ms: none waits for one that could be free, and each client has its turn."""

import threading
import time

import pytest

pytestmark = pytest.mark.alone

NAP = 0.01
NAPS = """
import os, time

order = os.open("order", os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def app(environ, start_response):
    os.write(order, environ["REMOTE_PORT"].encode() + b"\\n")
    time.sleep(0.01)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
THREADS = 8
REQUESTS = 100


@pytest.fixture
def server(make_server):
    return make_server(naps=NAPS).start("naps:app", "--threads", str(THREADS))


def latencies(server, clients):
    """Of all requests of so many clients, each of which asks as soon as it has been answered; sorted."""
    found = []

    def ask(connection):
        for _ in range(REQUESTS):
            begun = time.perf_counter()
            connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            found.append(time.perf_counter() - begun)

    connections = [server.connect() for _ in range(clients)]
    threads = [threading.Thread(target=ask, args=(connection,)) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for connection in connections:
        connection.close()
    assert len(found) == clients * REQUESTS
    return sorted(found)


def test_who_becomes_free_leads_though_the_leader_is_in_a_call(server):
    """It had let another one lead if there had been one; and the watcher would take half a call to see it."""
    taken = latencies(server, THREADS)
    assert taken[int(len(taken) * 0.99)] < 1.7 * NAP


def test_no_client_jumps_the_queue(server):
    latencies(server, 2 * THREADS)
    asked = (server.directory / "order").read_text().split()
    whole = asked[len(asked) // 4 : len(asked) * 3 // 4]  # while all of them ask
    last, early = {}, 0
    for at, client in enumerate(whole):
        early += at - last.get(client, -2 * THREADS) < 1.5 * THREADS
        last[client] = at
    assert early < len(whole) * 0.02
