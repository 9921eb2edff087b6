"""Reloads under keep-alive clients: nobody's connection is closed, on either loop."""

import signal

import pytest
from live.regulars import Regulars
from live.turns import TURNS
from live.wire import APPS

CLIENTS = 50


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_reloads_close_no_connection(make_server, loop):
    server = make_server().start(
        "asgi_probe:app", "--chdir", str(APPS), "-w", "2", "--keep-alive", "20", "--asgi-loop", loop
    )
    clients = Regulars(server.connect, CLIENTS)
    clients.again()
    for generation in range(2, 2 + TURNS):
        server.signal(signal.SIGHUP)
        server.wait_for(f"Reload complete: generation {generation} is ready")
        clients.again()
    requests, failures = clients.stop()
    assert failures == []
    assert requests > CLIENTS * TURNS
