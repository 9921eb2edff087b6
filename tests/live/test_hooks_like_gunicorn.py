"""Both servers live the same life with the same configuration file, which records each hook; differences are listed.

A life is a table of steps. Of its record a flat table is made, from "which hook of whom: which fact" to a value; the
two tables may differ only where EXPLAINED says so, and everything that stands there must differ.
"""

import json
import os
import signal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import pytest
from live.peer import gunicorn
from live.server import Server, alive, wait_until
from live.wire import APPS, Wire

RACING = ("HUP", "TERM", "INT")  # steps in which several workers end at once, in any order


BOTH = ("sync", "gthread")


class Explained(NamedTuple):
    """`where` is a pattern of the table's keys, of any server.

    A reason without a difference is as wrong as a difference without a reason.
    """

    where: str
    reason: str
    kinds: tuple[str, ...] = BOTH
    lasts: tuple[signal.Signals, ...] = (signal.SIGTERM, signal.SIGINT)

    def fits(self, where: str) -> bool:
        return fnmatchcase(where, f"server ?: {self.where}")


TO_TERM = (signal.SIGTERM,)
ALWAYS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)
EXPLAINED = [
    Explained("/chunked: post_request: resp.*chunked", "a body of one piece gets a Content-Length; gunicorn chunks it"),
    Explained("/*: post_request: resp.must_close", "must_close and should_close() say the same", ("gthread",)),
    Explained("/*: post_request: environ.wsgi.multithread", "gthread with one thread has one", ("gthread",)),
    Explained("master at *: server.worker_class", "one class serves with threads and without", ("gthread",), ALWAYS),
    Explained("worker *: server.worker_class", "one class serves with threads and without", ("gthread",), ALWAYS),
    Explained("/keep: post_request: resp.*close", "sync keeps connections open; gunicorn's can't", ("sync",)),
    Explained(
        "/raise: post_request: resp.*", "where the application raised, the response is the 500 that the client got"
    ),
    Explained("/hang: post_request: resp.*", "the same, where the worker was aborted", ("sync",), TO_TERM),
    Explained("*: worker.aborted", "a worker that is aborted knows it, not only its master", ("sync",), TO_TERM),
    Explained("worker 8: *", "gunicorn's sync swallows its exit at a time-out: no worker_exit", ("sync",), TO_TERM),
    Explained("master at /hang: *", "who replaces an aborted worker needn't wait for its death", ("sync",), TO_TERM),
    Explained("worker 9: *: server.WORKERS", "the same, as the new worker sees it", ("sync",), TO_TERM),
]  # fmt: skip

REQUESTS = [
    ("/get?a=1&b", ("X-Two: 2", "Connection: close"), {}),
    ("/head", ("Connection: close",), {"method": "HEAD"}),
    ("/old", (), {"version": "1.0"}),
    ("/chunked", ("Connection: close",), {}),
    ("/raise", ("Connection: close",), {}),
]


@pytest.fixture(scope="module")
def lives(tmp_path_factory):
    """Both tables, of each kind of worker and each end, made when first asked for."""
    made = {}

    def pair(kind, last):
        if (kind, last) not in made:
            directory = tmp_path_factory.mktemp("lives")
            made[kind, last] = [
                tell(directory / name, kind, last, command)
                for name, command in (("gunicorn", [str(gunicorn())]), ("corral", None))
            ]
        return made[kind, last]

    return pair


def tell(directory, kind, last, command):
    life = Life(directory, kind, command)
    try:
        live(life, kind, last)
        return life.tables()
    except AssertionError as failure:
        failure.add_note(life.server.log)
        raise
    finally:
        life.server.clean_up()


@pytest.mark.parametrize("last", ALWAYS, ids=["to TERM", "to INT", "beyond USR2"])
@pytest.mark.parametrize("kind", ["sync", "gthread"])
def test_the_records_differ_only_where_it_is_explained(lives, kind, last):
    theirs, ours = lives(kind, last)
    different = {
        where: (theirs.get(where, "nothing"), ours.get(where, "nothing"))
        for where in sorted(theirs.keys() | ours.keys())
        if theirs.get(where, "nothing") != ours.get(where, "nothing")
    }
    reasons = [row for row in EXPLAINED if kind in row.kinds and last in row.lasts]
    unexplained = [where for where in different if not any(row.fits(where) for row in reasons)]
    assert not unexplained, {where: different[where] for where in unexplained}
    stale = [row for row in reasons if not any(row.fits(where) for where in different)]
    assert not stale


# one life


class Life:
    """One server and its record."""

    def __init__(self, directory, kind, command):
        directory.mkdir()
        self.server = Server(directory, env={"RECORD": str(directory / "record")})
        self.server.command = command or self.server.command
        self.server.start(
            "-c", str(APPS / "recorder.py"), "--pythonpath", str(APPS), "-w", "2", "-k", kind, "--timeout", "2",
            "--name", "herd", "recorder", wait=None,
        )  # fmt: skip
        self.become(self.server.pid)

    @property
    def port(self):
        return self.server.port

    @property
    def path(self):
        return self.server.directory / f"record.{self.pid}"

    def entries(self):
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    def tables(self):
        """Of this server, and of the one that it may have started."""
        pids = sorted(int(path.suffix[1:]) for path in self.server.directory.glob("record.*"))
        pids.sort(key=lambda pid: pid != self.server.pid)
        facts = {}
        for number, self.pid in enumerate(pids, 1):
            others = {pid: f"server {number}" for number, pid in enumerate(pids, 1)}
            found = table(self.entries(), self.port, others)
            facts.update({f"server {number}: {where}": value for where, value in found.items()})
        return facts

    def become(self, pid):
        """From now on it is about this server."""
        self.pid = pid
        self.born = self.died = 0

    def begin(self, step):
        with open(self.path, "a") as record:
            record.write(json.dumps({"step": step}) + "\n")

    def wait_for(self, *, births=0, deaths=0):
        """So many more workers have booted, and so many have been reaped; and who has booted is in its loop: of those
        who aren't, the next signal may take another one."""
        self.born += births
        self.died += deaths

        def happened():
            entries = self.entries()
            born = [entry["process"] for entry in entries if entry.get("hook") == "post_worker_init"]
            dead = sum(entry.get("hook") == "child_exit" for entry in entries)
            return len(born) >= self.born and dead >= self.died and all(map(rests, born))

        wait_until(happened, f"{self.born} workers born and {self.died} dead")

    def tell(self, signum, *, age=None, births=0, deaths=0):
        """The master, or the worker of this age."""
        name = signum.name[3:]
        self.begin(name if age is None else f"{name} to {age}")
        os.kill(self.pid if age is None else self.pid_of(age), signum)
        self.wait_for(births=births, deaths=deaths)

    def pid_of(self, age):
        return next(entry["process"] for entry in self.entries() if age_of(entry) == age and entry["role"] == "worker")


def rests(pid):
    """Whether a worker sleeps, or is gone: after its last hook it first does so in its loop."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in "SZ"


def live(life, kind, last):
    """What happens to a server, from its start to its end by the signal `last`."""
    life.wait_for(births=2)
    if last is signal.SIGUSR2:
        upgrade(life)
        return
    ask(life)
    if last is signal.SIGTERM:
        life.tell(signal.SIGHUP, births=2, deaths=2)
        life.tell(signal.SIGTTIN, births=1)
        life.tell(signal.SIGKILL, age=3, births=1, deaths=1)
        life.tell(signal.SIGTTOU, deaths=1)
        life.tell(signal.SIGTTOU, deaths=1)
        provoke(life, "/exit", births=1, deaths=1)
        life.tell(signal.SIGINT, age=7, births=1, deaths=1)
        if kind == "sync":  # gunicorn's threads beat on while a request hangs
            provoke(life, "/hang", births=1, deaths=1)
    life.begin(last.name[3:])
    assert life.server.stop(last) == 0


def upgrade(life):
    """To a second server, the end of the first, and that of the second."""
    life.tell(signal.SIGUSR2)
    first = life.pid
    records = life.server.directory.glob
    wait_until(lambda: len(list(records("record.*"))) == 2, "a second server", process=life.server.process)
    [second] = {int(path.suffix[1:]) for path in records("record.*")} - {first}
    try:
        life.become(second)
        life.wait_for(births=2)
        life.become(first)
        life.begin("TERM")
        assert life.server.stop() == 0
        wait_until(lambda: "promoted" in life.server.log, "its promotion")
        life.become(second)
        life.wait_for(births=2)
        life.tell(signal.SIGHUP, births=2, deaths=2)
        life.tell(signal.SIGTERM, deaths=2)
        wait_until(lambda: not alive(second), "its end")
    finally:
        if alive(second):
            os.kill(second, signal.SIGKILL)


def ask(life):
    for target, fields, options in REQUESTS:
        with Wire(life) as wire:
            wire.get(target, *fields, **options)
    with Wire(life) as wire:
        wire.post("/post", b"12345", "Content-Type: text/x", "Connection: close")
    with Wire(life) as wire:
        kept = wire.get("/keep").field("connection") != "close"
        if kept:
            wire.get("/kept", "Connection: close")
    if not kept:
        with Wire(life) as wire:
            wire.get("/kept", "Connection: close")


def provoke(life, target, **expected):
    """A request that is the end of its worker."""
    life.begin(target)
    with Wire(life) as wire:
        wire.send(f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        life.wait_for(**expected)


# its table


def table(entries, port, servers):
    """Which hook of whom: which fact → its value, with nothing in it that differs from run to run."""
    facts, orders = {}, {}
    words = {port: "PORT", str(port): "PORT", f"127.0.0.1:{port}": "127.0.0.1:PORT"}
    words.update({entry["process"]: f"worker {age_of(entry)}" for entry in entries if age_of(entry) and worked(entry)})
    words.update(servers)
    step, seen = "start", {}
    for entry in entries:
        if "step" in entry:
            step = entry["step"]
            continue
        who, hook = whose(entry, step), entry["hook"]
        orders.setdefault(who, []).append(hook)
        about = f"{hook} of {age_of(entry)}" if entry["role"] == "master" and age_of(entry) else hook
        settle_counts(entry, seen, step)
        for path, value in flatten(entry):
            facts[f"{who}: {about}: {path}"] = worded(value, words)
    facts.update({f"{who}: order": order for who, order in orders.items()})
    return facts


def age_of(entry):
    return entry.get("worker", {}).get("age")


def worked(entry):
    return entry.get("role") == "worker"


def whose(entry, step):
    """A request is compared for itself, for which worker gets it is chance."""
    if "req" in entry:
        return entry["req"]["path"]
    return f"worker {age_of(entry)}" if worked(entry) and age_of(entry) else f"master at {step}"


def settle_counts(entry, seen, step):
    """Take out what is chance: who served how many requests, and who of several ends first."""
    if "req" in entry:
        served = seen.setdefault(entry["process"], [])
        if entry["hook"] == "pre_request":
            served.append(entry)
        entry["worker"]["nr"] -= len(served)
        entry["worker"] = {name: fact for name, fact in entry["worker"].items() if name not in ("age", "pid")}
        entry.get("environ", {}).pop("REMOTE_PORT", None)
        entry["process"] = None
    elif entry["hook"] in ("worker_int", "worker_exit"):
        entry["worker"].pop("nr")
    if entry["hook"] == "child_exit" and step in RACING:
        assert age_of(entry) not in entry["server"].pop("WORKERS")


def flatten(value, path=""):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flatten(inner, f"{path}.{key}" if path else key)
    else:
        yield path, value


def worded(value, words):
    if isinstance(value, list):
        return [worded(item, words) for item in value]
    return words.get(value, value) if isinstance(value, int | str) and not isinstance(value, bool) else value
