"""Bodies of any length in a worker whose memory doesn't grow: who is slow holds up who is fast."""

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor, wait

from live.server import PATIENCE, private_memory
from live.turns import TURNS
from live.wire import APPS

SIZE = TURNS * 50_000_000  # `make soak TURNS=100` is 5 GB, for 500 seconds
RATE = 10_000_000 if TURNS >= 20 else 50_000_000  # bytes a second
PIECE = bytes(65536)
MOST_GROWTH = 8 << 20
MOST_AHEAD = 64 << 20  # what the kernel holds of a connection, on both sides of it


def client(server):
    return http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)


def done(server):
    """How much the applications have written and read."""
    asking = client(server)
    asking.request("GET", "/")
    answer = json.loads(asking.getresponse().read())
    asking.close()
    return answer


def download(server):
    """Read slowly; how far the application was ahead."""
    reading = client(server)
    reading.request("GET", f"/write?size={SIZE}")
    response = reading.getresponse()
    received, begun, ahead = 0, time.monotonic(), []
    while piece := response.read(len(PIECE)):
        received += len(piece)
        time.sleep(max(0, begun + received / RATE - time.monotonic()))  # nothing is waited for: this is the slow reader
        if received > SIZE * len(ahead) // 10:
            ahead.append(done(server)["written"] - received)
    reading.close()
    assert received == SIZE
    return max(ahead)


def upload(server):
    """Write as fast as it may, to an application that reads slowly; how far the client was ahead."""
    sent, ahead = 0, []

    def body():
        nonlocal sent
        while sent < SIZE:
            piece = PIECE[: SIZE - sent]
            yield piece
            sent += len(piece)
            if sent > SIZE * len(ahead) // 10:
                ahead.append(sent - done(server)["read"])

    writing = client(server)
    writing.request("POST", f"/read?rate={RATE}", body())
    assert json.loads(writing.getresponse().read())["read"] == SIZE
    writing.close()
    return max(ahead)


def test_memory_is_bounded_whatever_goes_through(make_server):
    """A download and an upload at once, on either loop."""
    servers = {
        loop: make_server().start("asgi_streams:app", "--chdir", str(APPS), "--asgi-loop", loop)
        for loop in ("asyncio", "uvloop")
    }
    workers = {loop: server.workers[0] for loop, server in servers.items()}
    for server in servers.values():
        done(server)
    before = {loop: private_memory(worker) for loop, worker in workers.items()}
    most = dict(before)

    with ThreadPoolExecutor() as pool:
        transfers = {
            f"{transfer.__name__} on {loop}": pool.submit(transfer, server)
            for loop, server in servers.items()
            for transfer in (download, upload)
        }
        while wait(transfers.values(), timeout=0.1).not_done:
            for loop, worker in workers.items():
                most[loop] = max(most[loop], private_memory(worker))

    ahead = {name: transfer.result() for name, transfer in transfers.items()}
    growth = {loop: most[loop] - before[loop] for loop in most}
    assert max(growth.values()) < MOST_GROWTH, growth
    assert max(ahead.values()) < MOST_AHEAD, ahead
