"""`corral ctl COMMAND`: ask and command a server that runs, by its control socket.

It knows the socket's words and how a person wants to read the answers; what they mean is the server's.
"""

import argparse
import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from corral.config.load import load_config
from corral.errors import ConfigError
from corral.server.controls import control_path

NO_SOCKET = "which server? name its control socket: corral ctl --socket PATH (the server's control_socket)"
EXAMPLES = """
The socket is the server's `control_socket`, as the configuration in this directory or the variable
CORRAL_CONTROL_SOCKET names it. curl will do as well:

  curl --unix-socket PATH http://localhost/status
  curl --unix-socket PATH -X POST 'http://localhost/reload?wait=1'
"""


def main(arguments: Sequence[str], environ: Mapping[str, str], cwd: str) -> int:
    """The exit code: 0; 1, it didn't succeed, and the reason is on stderr; 2, a bad command line."""
    options = make_parser().parse_args(list(arguments))
    method, target = request_of(options)
    status, answer = ask(find_socket(options, environ, cwd), method, target)
    if options.json:
        print(json.dumps(answer, indent=1))
    elif status < 400:
        print("\n".join(SHOWN[options.command](answer)))
    if status >= 400 and "error" in answer:
        print(f"corral ctl: {options.command}: {answer['error']}", file=sys.stderr)
    return int(status >= 400)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="corral ctl", description=(__doc__ or "").partition("\n")[0], epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("-s", "--socket", metavar="PATH", help="the control socket of the server")
    parser.add_argument("-c", "--config", metavar="CONFIG", help="the configuration that names it")
    parser.add_argument("--json", action="store_true", help="print the answer as it comes")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("status", help="what it serves, and how")
    commands.add_parser("workers", help="its workers, one a line, with their requests in flight")
    reload_ = commands.add_parser("reload", help="read the configuration and load the application anew (HUP)")
    reload_.add_argument("--wait", action="store_true", help="until it has succeeded, or failed: then exit code 1")
    scale = commands.add_parser("scale", help="have another number of workers")
    scale.add_argument("workers", type=int, metavar="N")
    trace = commands.add_parser("trace", help="the stacks and requests of its workers, of this moment")
    trace.add_argument("slot", type=int, nargs="?", metavar="SLOT", help="of this worker alone")
    upgrade = commands.add_parser("upgrade", help="start the program anew beside this one, and retire this one (USR2)")
    upgrade.add_argument("--wait", action="store_true", help="until it has succeeded, or failed: then exit code 1")
    stop = commands.add_parser("stop", help="finish what has begun, and end (TERM)")
    stop.add_argument("--quick", action="store_true", help="finish nothing (INT)")
    return parser


def request_of(options: argparse.Namespace) -> tuple[str, str]:
    """Method and target."""
    command = options.command
    if command in ("status", "workers"):
        return "GET", f"/{command}"
    if command == "trace":
        return "GET", "/trace" if options.slot is None else f"/trace?slot={options.slot}"
    if command == "scale":
        return "POST", f"/scale?workers={options.workers}"
    if command == "stop":
        return "POST", "/stop?quick=1" if options.quick else "/stop"
    return "POST", f"/{command}?wait=1" if options.wait else f"/{command}"


def find_socket(options: argparse.Namespace, environ: Mapping[str, str], cwd: str) -> str:
    """Where the server would have it that is started here. Raises ConfigError."""
    if options.socket:
        return os.path.join(cwd, options.socket)
    arguments = ["--config", options.config] if options.config else []
    config = load_config(arguments, environ, cwd).config
    path = control_path(config, cwd, environ)
    if not path:
        raise ConfigError(NO_SOCKET)
    return path


def ask(path: str, method: str, target: str) -> tuple[int, dict[str, Any]]:
    """The status and the answer. Raises ConfigError where nobody answers."""
    received = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(path)
            connection.sendall(f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
            while data := connection.recv(65536):
                received += data
    except OSError as error:
        raise ConfigError(f"no server answers on {path}: {error.strerror or error}") from None
    head, _, body = received.partition(b"\r\n\r\n")
    if not head:
        raise ConfigError(f"the server on {path} has ended without an answer")
    return int(head.split()[1]), json.loads(body)


# Answers, as lines


def show_status(answer: dict[str, Any]) -> Iterator[str]:
    workers = answer["workers"]
    yield f"{answer['app']}: {answer['state']}, generation {answer['generation']}, pid {answer['pid']}"
    yield f"workers      {workers['ready']} ready of {workers['wanted']} wanted, {workers['alive']} alive"
    yield f"listening    {', '.join(answer['listeners'])}"
    yield f"requests     {answer['requests']}, {answer['errors']} errors, {answer['bytes_out']} bytes"
    yield f"connections  {answer['connections']}"
    yield f"running for  {answer['seconds']:.0f} s, corral {answer['version']}"
    for other in ("predecessor", "successor"):
        if answer[other]:
            yield f"{other:12} pid {answer[other]}"


COLUMNS = ("slot", "pid", "generation", "state", "seconds", "requests", "errors", "connections")


def show_workers(answer: dict[str, Any]) -> Iterator[str]:
    rows = [COLUMNS, *(tuple(str(worker[column]) for column in COLUMNS) for worker in answer["workers"])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    workers = [None, *answer["workers"]]
    for row, worker in zip(rows, workers, strict=True):
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for flight in worker["in_flight"] if worker else ():
            yield show_flight(flight)


def show_flight(flight: dict[str, Any]) -> str:
    return f"      {flight['seconds']:.1f} s: {flight['request'] or 'no sign of life'}"


def show_trace(answer: dict[str, Any]) -> Iterator[str]:
    for worker in answer["workers"]:
        yield f"worker in slot {worker['slot']} (pid {worker['pid']}), {worker['state']}"
        yield from map(show_flight, worker["in_flight"])
        for stack in worker["stacks"]:
            yield from (f"  {line}" for line in stack)
        if not worker["stacks"]:
            yield "  no stacks: it can't be asked here"


def show_outcome(answer: dict[str, Any]) -> Iterator[str]:
    yield str(answer.get("message", "ok"))


def show_scale(answer: dict[str, Any]) -> Iterator[str]:
    yield f"{answer['workers']} workers wanted"


SHOWN = {
    "status": show_status,
    "workers": show_workers,
    "trace": show_trace,
    "reload": show_outcome,
    "upgrade": show_outcome,
    "stop": show_outcome,
    "scale": show_scale,
}
