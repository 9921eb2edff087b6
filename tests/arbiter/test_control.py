"""What arrives on the control socket, and what is asked of it, without a socket."""

from collections.abc import Iterator
from typing import Any

import pytest

from corral.arbiter.answers import Answers, Refusal
from corral.arbiter.arbiter import Arbiter, Edition
from corral.arbiter.control import MOST_BYTES, parse
from corral.arbiter.news import News
from corral.arbiter.plan import Stop
from corral.shared.scoreboard import Scoreboard
from corral.shared.wakeup import Wakeup

GET = b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    ("received", "request_"),
    [
        pytest.param(b"", None, id="nothing yet"),
        pytest.param(GET[:-2], None, id="a head that isn't whole"),
        pytest.param(GET, ("GET", "status", {}), id="a question"),
        pytest.param(b"GET / HTTP/1.0\r\n\r\n", ("GET", "", {}), id="no name"),
        pytest.param(
            b"POST /reload?wait&a=b&c= HTTP/1.1\r\n\r\n",
            ("POST", "reload", {"wait": "1", "a": "b", "c": ""}),
            id="a query",
        ),
        pytest.param(b"POST /scale HTTP/1.1\r\nContent-Length: 9\r\n\r\n{", None, id="a body that isn't whole"),
        pytest.param(
            b'POST /scale?workers=1 HTTP/1.1\r\ncontent-length: 14\r\n\r\n{"workers": 3}',
            ("POST", "scale", {"workers": 3}),
            id="a body, which is over the query",
        ),
    ],
)
def test_a_request(received: bytes, request_: object) -> None:
    assert parse(received) == request_


@pytest.mark.parametrize(
    ("received", "status"),
    [
        pytest.param(b"nonsense\r\n\r\n", 400, id="not HTTP"),
        pytest.param(b"GET /status HTTP/2\r\n\r\n", 400, id="another HTTP"),
        pytest.param(b"x" * MOST_BYTES, 413, id="a head without end"),
        pytest.param(b"POST /scale HTTP/1.1\r\nContent-Length: 99999\r\n\r\n", 413, id="a body too long"),
        pytest.param(b"POST /scale HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 413, id="a length that is none"),
        pytest.param(b"POST /scale HTTP/1.1\r\nContent-Length: 2\r\n\r\n[]", 400, id="a body that is no object"),
    ],
)
def test_a_mistake(received: bytes, status: int) -> None:
    with pytest.raises(Refusal) as refusal:
        parse(received)
    assert refusal.value.status == status


class Silence:
    """A log that nobody reads."""

    def write(self, message: str, *values: object, **_: object) -> None:
        message % values

    critical = error = warning = info = exception = debug = write


@pytest.fixture
def arbiter() -> Iterator[Arbiter]:
    def edition(generation: int = 1) -> Edition:
        return Edition(
            generation=generation, app="hello:app", workers=2, timeout=30, boot_timeout=300, graceful_timeout=30,
            spawn=lambda row, age: (1 << 30, None), adopt=lambda: None, discard=lambda: None,
        )  # fmt: skip

    wakeup = Wakeup()
    yield Arbiter(
        log=Silence(),  # type: ignore[arg-type]
        board=Scoreboard(8), wakeup=wakeup, edition=edition(), load_edition=edition,
        reopen_logs=lambda: None, stop_listening=lambda: None, call=lambda *arguments: None,
    )  # fmt: skip
    wakeup.close()


class Asking:
    """Keeps what it is answered."""

    def __init__(self, arbiter: Arbiter) -> None:
        self.answers = Answers(arbiter, lambda: {"pid": 7})
        self.heard: list[tuple[int, dict[str, Any]]] = []

    def __call__(self, method: str, name: str, **parameters: object) -> None:
        self.answers.answer(method, name, parameters, lambda status, answer: self.heard.append((status, answer)))


@pytest.fixture
def ask(arbiter: Arbiter) -> Asking:
    return Asking(arbiter)


def test_the_state_of_a_server_that_has_begun_to_boot(arbiter: Arbiter, ask: Asking) -> None:
    arbiter.settle()
    ask("GET", "status")
    [(status, answer)] = ask.heard
    assert (status, answer["state"], answer["ready"], answer["pid"]) == (200, "booting", False, 7)
    assert answer["workers"] == {"wanted": 2, "ready": 0, "alive": 1}


@pytest.mark.parametrize(
    ("news", "status", "answer"),
    [
        pytest.param(News.COMPLETE, 200, {"ok": True, "message": "so it is"}, id="it has succeeded"),
        pytest.param(News.FAILED, 500, {"ok": False, "error": "so it is"}, id="it has failed"),
        pytest.param(News.STOPPING, 500, {"ok": False, "error": "so it is"}, id="the server stops"),
    ],
)
def test_who_waits_for_a_reload_hears_its_outcome_once(
    arbiter: Arbiter, ask: Asking, news: News, status: int, answer: object
) -> None:
    ask("POST", "reload", wait="1")
    arbiter.tell(News.SCALED)
    assert ask.heard == []
    arbiter.tell(news, "so it is")
    arbiter.tell(News.COMPLETE, "once more")
    assert ask.heard == [(status, answer)]
    assert arbiter.hearers == []


def test_commands_are_refused_during_a_stop(arbiter: Arbiter, ask: Asking) -> None:
    arbiter.begin_stop(Stop.GRACEFUL)
    with pytest.raises(Refusal, match="stopping"):
        ask("POST", "reload")
    ask("GET", "ready")
    assert ask.heard == [(503, {"ready": False, "state": "stopping"})]


def test_appointments_are_kept_when_they_are_due_and_shorten_the_sleep(arbiter: Arbiter) -> None:
    kept: list[str] = []
    arbiter.at(1, lambda: kept.append("long ago"))
    arbiter.at(1 << 62, lambda: kept.append("never"))
    assert arbiter.settle() is not None
    assert kept == ["long ago"]
