"""Compare Corral with its peers: the same application behind each in turn, round after round, and a table a scenario.

Every server has one worker, no access log, and 64 connections of wrk, unless the scenario says otherwise. Printed are
medians over the rounds; a ratio is Corral's figure over the peer's, the median of the ratios within each round.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

import echo
import environment
import mixed
import wrk
from figures import CRITERIA, Sample, met, table, verdicts
from report import LoadFailed, Report
from running import Running, ServerFailed, unwind_when_ended
from scenario import SCENARIOS, Scenario, WrongAnswer, verify
from servers import SERVERS, Server

WARM_UP = 0.5
BOOT = 1.0
"""What starting and ending a server takes, about."""
LOADS = {"wrk": wrk.put_load, "mixed": mixed.put_load, "echo": echo.put_load}
Row = TypeVar("Row", Scenario, Server)


def main(argv: Sequence[str]) -> int:
    options = parse(argv)
    unwind_when_ended()
    try:
        return compare(options)
    except KeyboardInterrupt:
        return fail("interrupted")
    except (environment.EnvironmentFailed, Failed) as error:
        return fail(str(error))


def compare(options: argparse.Namespace) -> int:
    binaries = environment.prepare()
    versions = environment.versions()
    parts = [(scenario, taking_part(scenario, options)) for scenario in options.only]
    turn = sum(len(servers) * (warm_up(scenario) + seconds_of(scenario, options) + BOOT) for scenario, servers in parts)
    minutes = turn * options.rounds / 60
    print(", ".join(f"{name} {version}" for name, version in versions.items()))
    print(
        f"{os.cpu_count()} CPUs; {options.rounds} rounds of {options.seconds:g} s: about {minutes:.0f} min", flush=True
    )
    samples: list[Sample] = []
    for scenario, servers in parts:
        samples += measure_rounds(scenario, servers, options, binaries)
        print(f"\n{scenario.name}: {scenario.what}\n{table(samples, scenario.name, scenario.shown)}", flush=True)
        if options.json:
            # After each scenario, so that an interrupted run leaves what it has measured.
            rows = [asdict(sample) for sample in samples]
            options.json.write_text(json.dumps({"versions": versions, "samples": rows}, indent=1) + "\n")
    if not options.criteria:
        return 0
    print(f"\n{verdicts(samples)}")
    return 0 if all(met(criterion, samples) is not False for criterion in CRITERIA) else 1


def seconds_of(scenario: Scenario, options: argparse.Namespace) -> float:
    return max(float(options.seconds), scenario.at_least)


def warm_up(scenario: Scenario) -> float:
    """Longer for several workers, which don't all serve as soon as one does."""
    return WARM_UP * scenario.workers


def taking_part(scenario: Scenario, options: argparse.Namespace) -> list[Server]:
    servers = [
        server
        for server in options.servers
        if scenario.interface in server.interfaces
        and server.can_have(workers=scenario.workers, threads=scenario.threads)
    ]
    if options.criteria:
        needed = {name for criterion in CRITERIA if criterion.scenario == scenario.name for name in criterion.servers}
        return [server for server in servers if server.name in needed]
    return [server for server in servers if not server.scenarios or scenario.name in server.scenarios]


class Failed(Exception):
    """A measurement that can't be trusted: says which server, in which scenario and round, and why."""


def measure_rounds(
    scenario: Scenario, servers: list[Server], options: argparse.Namespace, binaries: Path
) -> Iterator[Sample]:
    """The servers in turn, so that a slow minute of the machine meets all; each round begins with another."""
    for number in range(options.rounds):
        first = number % max(1, len(servers))
        for server in servers[first:] + servers[:first]:
            progress(f"{scenario.name}, round {number + 1} of {options.rounds}: {server.name}")
            try:
                yield measure(scenario, server, number, seconds_of(scenario, options), binaries)
            except (ServerFailed, WrongAnswer, Failed) as error:
                raise Failed(f"{server.name}, {scenario.name}, round {number + 1}: {error}") from error
    progress("")


def measure(scenario: Scenario, server: Server, number: int, seconds: float, binaries: Path) -> Sample:
    with tempfile.TemporaryDirectory(prefix="corral-bench-") as scratch:
        with Running(
            server, scenario.app, binaries, Path(scratch), workers=scenario.workers, threads=scenario.threads
        ) as running:
            try:
                report, cpu, pss = load(scenario, running, seconds)
            except (WrongAnswer, LoadFailed) as error:
                raise Failed(f"{error}\n{running.last_words()}") from error
        if "{log}" in server.command:
            check_log(running.access_log, report.requests)
    return Sample(
        scenario=scenario.name,
        server=server.name,
        round=number,
        cpu=cpu * 1e6 / report.requests,
        rate=report.rate,
        pss=pss / 1024,
        latency=report.latency,
    )


def load(scenario: Scenario, running: Running, seconds: float) -> tuple[Report, float, int]:
    """The report, the CPU seconds that it took, and the KiB of memory after it."""
    put_load = LOADS[scenario.load]
    verify(scenario, running.port)
    put_load(scenario, running.port, warm_up(scenario))
    before = running.cpu_seconds()
    report = put_load(scenario, running.port, seconds)
    cpu = running.cpu_seconds() - before
    running.check_alive()
    report.check(unannounced_close=closes_unannounced(running.server, scenario))
    return report, cpu, running.pss_kib()


def closes_unannounced(server: Server, scenario: Scenario) -> bool:
    if server.closes_unannounced == "if asked":
        return scenario.headers.get("Connection") == "close"
    return server.closes_unannounced == "always"


def check_log(log: Path, requests: int) -> None:
    """An access log that wasn't written would look like one that costs nothing."""
    lines = log.read_bytes().count(b"\n") if log.exists() else 0
    if lines < requests:
        raise WrongAnswer(f"the access log has {lines} lines for {requests} requests")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run.py", description=__doc__)
    parser.add_argument("--rounds", type=between(int, 1, 50), default=3, help="1 to 50 (3)")
    parser.add_argument(
        "--seconds", type=between(float, 0.5, 60), default=2.0, help="a server and round, 0.5 to 60 (2)"
    )
    parser.add_argument(
        "--only", type=named(SCENARIOS), default=SCENARIOS, metavar="SCENARIO,...", help=names(SCENARIOS)
    )
    parser.add_argument("--servers", type=named(SERVERS), default=SERVERS, metavar="NAME,...", help=names(SERVERS))
    parser.add_argument(
        "--clients", type=between(int, 1, 1000), metavar="NUMBER", help="connections, instead of the scenario's own"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample")
    parser.add_argument("--criteria", action="store_true", help="measure what the required ratios need, and check them")
    options = parser.parse_args(argv)
    if options.criteria:
        options.only = [row for row in options.only if any(row.name == c.scenario for c in CRITERIA)]
    if options.clients:
        options.only = [replace(row, clients=options.clients) for row in options.only]
    return options


def names(rows: Sequence[Row]) -> str:
    return ", ".join(row.name for row in rows)


def named(rows: tuple[Row, ...]) -> Callable[[str], list[Row]]:
    known = {row.name: row for row in rows}

    def convert(text: str) -> list[Row]:
        wanted = [name.strip() for name in text.split(",") if name.strip()]
        for name in wanted:
            if name not in known:
                raise argparse.ArgumentTypeError(f"there is no {name!r}; there are {', '.join(known)}")
        return [row for name, row in known.items() if name in wanted]

    return convert


Number = TypeVar("Number", int, float)


def between(kind: Callable[[str], Number], low: Number, high: Number) -> Callable[[str], Number]:
    def convert(text: str) -> Number:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} isn't a number of {low} to {high}") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} isn't within {low} to {high}")
        return value

    return convert


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def fail(message: str) -> int:
    progress("")
    print(f"bench: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
