"""wrk: the command that loads a server, and what its report says."""

import math
import re
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass

from scenario import SCRIPTS, Scenario

CONNECTIONS = 64


class LoadFailed(Exception):
    """wrk failed, or counted an error: the figures would be those of a broken exchange."""


@dataclass(frozen=True, slots=True)
class Report:
    requests: int
    rate: float
    connect_errors: int = 0
    read_errors: int = 0
    write_errors: int = 0
    timeouts: int = 0
    bad_statuses: int = 0

    @classmethod
    def parse(cls, text: str) -> "Report":
        requests = re.search(r"^\s*(\d+) requests in ", text, re.M)
        rate = re.search(r"^Requests/sec:\s*([\d.]+)", text, re.M)
        if requests is None or rate is None:
            raise LoadFailed(f"wrk's report isn't understood: {text.strip()[:300]!r}")
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
        statuses = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        connect, read, write, timeout = map(int, errors.groups()) if errors else (0, 0, 0, 0)
        bad_statuses = int(statuses[1]) if statuses else 0
        return cls(int(requests[1]), float(rate[1]), connect, read, write, timeout, bad_statuses)

    def check(self, *, unannounced_close: bool = False) -> None:
        """Raise LoadFailed at any error. Where closing without saying so is known, one read error a request is none."""
        read_errors = 0 if unannounced_close and self.read_errors <= self.requests else self.read_errors
        errors = {
            "connect errors": self.connect_errors,
            "read errors": read_errors,
            "write errors": self.write_errors,
            "time-outs": self.timeouts,
            "answers that aren't 2xx or 3xx": self.bad_statuses,
        }
        counted = [f"{count} {name}" for name, count in errors.items() if count]
        if counted:
            raise LoadFailed(f"wrk counted {', '.join(counted)} in {self.requests} requests")
        if not self.requests:
            raise LoadFailed("wrk got no answer at all")


def put_load(scenario: Scenario, port: int, seconds: float) -> Report:
    script = ["-s", str(SCRIPTS / scenario.script)] if scenario.script else []
    url = f"http://127.0.0.1:{port}{scenario.path}"
    limit = math.ceil(seconds) + 1
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{limit}s", "--timeout", "5s", *script, url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        # wrk's own duration is in whole seconds; SIGINT ends it at any time, and it still reports.
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    except subprocess.TimeoutExpired as error:
        raise LoadFailed("wrk doesn't end 20 s after its time") from error
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        raise LoadFailed(f"wrk ended with code {process.returncode}: {errors.strip()[-300:]}")
    return Report.parse(output)
