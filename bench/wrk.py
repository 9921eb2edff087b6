"""wrk: the command that loads a server, and what its report says."""

import math
import re
import signal
import subprocess
from contextlib import suppress

from report import Latency, LoadFailed, Report
from scenario import SCRIPTS, Scenario

MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0, "h": 3_600_000.0}
TIME = r"\s+([\d.]+)(us|ms|s|m|h)"


def put_load(scenario: Scenario, port: int, seconds: float) -> Report:
    script = ["-s", str(SCRIPTS / scenario.script)] if scenario.script else []
    url = f"http://127.0.0.1:{port}{scenario.path}"
    limit = math.ceil(seconds) + 1
    amount = ["-t1", f"-c{scenario.clients}", f"-d{limit}s"]
    command = ["wrk", *amount, "--latency", "--timeout", "5s", *script, url]
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
    return parse(output)


def parse(text: str) -> Report:
    requests = re.search(r"^\s*(\d+) requests in ", text, re.M)
    rate = re.search(r"^Requests/sec:\s*([\d.]+)", text, re.M)
    if requests is None or rate is None:
        raise not_understood(text)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    statuses = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    connect, read, write, timeout = map(int, errors.groups()) if errors else (0, 0, 0, 0)
    return Report(
        requests=int(requests[1]),
        rate=float(rate[1]),
        latency=latency(text),
        connect_errors=connect,
        read_errors=read,
        write_errors=write,
        timeouts=timeout,
        bad_statuses=int(statuses[1]) if statuses else 0,
    )


def latency(text: str) -> Latency:
    """Its line of latencies has mean, deviation and maximum, its distribution the percentiles."""
    line = re.search(rf"^\s*Latency{TIME}{TIME}{TIME}", text, re.M)
    percentiles = [re.search(rf"^\s*{percent}%{TIME}", text, re.M) for percent in (50, 90, 99)]
    if line is None or None in percentiles:
        raise not_understood(text)
    half, nine, most = (milliseconds(found[1], found[2]) for found in percentiles if found)
    return Latency(milliseconds(line[1], line[2]), half, nine, most, milliseconds(line[5], line[6]))


def milliseconds(number: str, unit: str) -> float:
    return float(number) * MILLISECONDS[unit]


def not_understood(text: str) -> LoadFailed:
    return LoadFailed(f"wrk's report isn't understood: {text.strip()[:300]!r}")
