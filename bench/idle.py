"""How often an idle server wakes up: the context switches that each of its threads makes while nobody asks anything."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import environment
from running import Running, ServerFailed, unwind_when_ended
from scenario import SCENARIOS, WrongAnswer, verify
from servers import SERVERS

ROWS = {server.name: server for server in SERVERS}
QUIET_FOR = 2.0
QUIET_WITHIN = 15.0
Switches = dict[tuple[int, int], int]


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/idle.py", description=__doc__)
    parser.add_argument("--server", choices=ROWS, default="corral", metavar="NAME", help="corral, or a peer's name")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to look (10)")
    options = parser.parse_args()
    unwind_when_ended()
    try:
        binaries = environment.prepare()
        with (
            tempfile.TemporaryDirectory(prefix="corral-bench-") as scratch,
            Running(ROWS[options.server], "apps:hello", binaries, Path(scratch)) as running,
        ):
            verify(SCENARIOS[0], running.port)
            wait_until_quiet(running)
            before = switches(running)
            time.sleep(options.seconds)
            after = switches(running)
    except (environment.EnvironmentFailed, ServerFailed, WrongAnswer, KeyboardInterrupt) as error:
        print(f"idle: {str(error) or 'interrupted'}", file=sys.stderr)
        return 2
    print(report(before, after, options.server, options.seconds))
    return 0


def switches(running: Running) -> Switches:
    """Voluntary context switches of every thread: a thread that wakes up must sleep again, which is one."""
    found: Switches = {}
    for pid in running.pids():
        for task in Path("/proc", str(pid), "task").iterdir():
            for line in (task / "status").read_text().splitlines():
                name, _, value = line.partition(":")
                if name == "voluntary_ctxt_switches":
                    found[pid, int(task.name)] = int(value)
    return found


def wait_until_quiet(running: Running) -> None:
    """Until nothing has moved for a while; a server that never rests is measured as it is."""
    deadline = time.monotonic() + QUIET_WITHIN
    while time.monotonic() < deadline:
        before = switches(running)
        time.sleep(QUIET_FOR)
        if switches(running) == before:
            return


def report(before: Switches, after: Switches, name: str, seconds: float) -> str:
    threads = sorted(before.keys() | after.keys())
    lines = [f"process {pid} thread {task}: {change(before, after, (pid, task))}" for pid, task in threads]
    total = sum(after.get(key, 0) - before.get(key, 0) for key in threads)
    return "\n".join([*lines, f"{name}: {total} wake-ups in {seconds:g} s of idleness"])


def change(before: Switches, after: Switches, key: tuple[int, int]) -> str:
    if key not in after:
        return "ended meanwhile"
    if key not in before:
        return f"{after[key]}, started meanwhile"
    return str(after[key] - before[key])


if __name__ == "__main__":
    sys.exit(main())
