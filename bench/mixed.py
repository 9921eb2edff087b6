"""A mixed load: clients that think between their requests, of which a few are slow; what it times is the others.

Closed loops without thinking would hide what is asked here: a client that waits for a slow answer asks nothing else.
"""

import asyncio
import time
from dataclasses import dataclass
from random import Random

from report import Latency, LoadFailed, Report
from scenario import Scenario

THINKING = 0.1
SLOW_SHARE = 0.05
ANSWERED_WITHIN = 10.0


@dataclass(frozen=True, slots=True)
class Turn:
    thinking: float
    slow: bool


def turns(random: Random, seconds: float) -> list[Turn]:
    """What one client does, the same whoever serves. Its thinking alone would fill the time: there are never more."""
    left, found = seconds, []
    while (thinking := random.expovariate(1 / THINKING)) < left:
        left -= thinking
        found.append(Turn(thinking, random.random() < SLOW_SHARE))
    return found


def put_load(scenario: Scenario, port: int, seconds: float) -> Report:
    return asyncio.run(all_clients(scenario, port, seconds))


async def all_clients(scenario: Scenario, port: int, seconds: float) -> Report:
    clients = [Client(scenario, port) for _ in range(scenario.clients)]
    began = time.monotonic()
    await asyncio.gather(
        *(client.take(turns(Random(number), seconds), began + seconds) for number, client in enumerate(clients))
    )
    failures = [failure for client in clients for failure in client.failures]
    requests = sum(client.answered for client in clients)
    if failures:
        raise LoadFailed(f"{len(failures)} of {requests + len(failures)} requests failed, the first by {failures[0]}")
    fast = [taken for client in clients for taken in client.fast]
    return Report(requests=requests, rate=requests / (time.monotonic() - began), latency=Latency.of(fast))


class Client:
    """One connection, made anew only after the server has said that it closes it."""

    def __init__(self, scenario: Scenario, port: int) -> None:
        self.scenario = scenario
        self.port = port
        self.answered = 0
        self.fast: list[float] = []
        self.failures: list[str] = []
        self.stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def take(self, plan: list[Turn], until: float) -> None:
        for turn in plan:
            await asyncio.sleep(turn.thinking)
            if time.monotonic() >= until:
                break
            began = time.perf_counter()
            try:
                async with asyncio.timeout(ANSWERED_WITHIN):
                    await self.ask(self.scenario.slow_path if turn.slow else self.scenario.path)
            except (OSError, EOFError, asyncio.LimitOverrunError, WrongResponse) as error:
                self.failures.append(f"{type(error).__name__} {error}".strip())
                self.close()
                continue
            self.answered += 1
            if not turn.slow:
                self.fast.append(time.perf_counter() - began)
        self.close()

    async def ask(self, path: str) -> None:
        if self.stream is None:
            self.stream = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.stream
        writer.write(b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % path.encode())
        head = Head.parse(await reader.readuntil(b"\r\n\r\n"))
        body = await reader.readexactly(head.length)
        if body != self.scenario.answer:
            raise WrongResponse(f"another body: {body[:60]!r}")
        if head.closes:
            self.close()

    def close(self) -> None:
        if self.stream is not None:
            self.stream[1].close()
            self.stream = None


class WrongResponse(Exception):
    """An answer that isn't the application's."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a client must know of a response before its body."""

    length: int
    closes: bool

    @classmethod
    def parse(cls, head: bytes) -> "Head":
        status, *lines = head.decode("latin-1").lower().split("\r\n")
        if status.split()[1:2] != ["200"]:
            raise WrongResponse(f"not 200: {status!r}")
        fields = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if not fields.get("content-length", "").isdigit():
            raise WrongResponse("no content length")
        return cls(int(fields["content-length"]), fields.get("connection") == "close")
