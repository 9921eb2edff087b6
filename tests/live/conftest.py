"""The `server` fixture: real processes, stopped after the test, with their log shown when the test fails."""

import resource

import pytest
from live.customers import Customer
from live.server import Server

HELLO = """
import os


def app(environ, start_response):
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call" and report.failed:
        for server in getattr(item, "servers", ()):
            report.sections.append((f"log of the server in {server.directory}", server.log))
    return report


@pytest.fixture
def make_server(request, tmp_path):
    """Makes servers, each in a directory of its own with a hello.py beside what is asked for."""
    servers = request.node.servers = []

    def make(*, env=None, directory=None, **files):
        if directory is None:
            directory = tmp_path / f"server{len(servers)}"
            directory.mkdir()
        named = {f"{name}.py": text for name, text in files.items()}
        server = Server(directory, files={"hello.py": HELLO, **named}, env=env)
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.clean_up()


@pytest.fixture
def server(make_server):
    """One server, not started yet."""
    return make_server()


@pytest.fixture
def many_descriptors():
    """For a test that has as many clients as a server has; what it starts inherits them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(12_000, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def customers():
    """Starts some for a server; they stop with the test at the latest."""
    found = []

    def start(server, number=4):
        new = [Customer(server.port) for _ in range(number)]
        found.extend(new)
        for customer in new:
            customer.start()
        return new

    yield start
    for customer in found:
        customer.stop()
