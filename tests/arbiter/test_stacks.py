"""Stacks as faulthandler writes them: whose they are, what is shown, and which line is the application's."""

import faulthandler
import os
import tempfile
from _thread import get_ident

import pytest

import corral
from corral.arbiter.stacks import Frame, parse, place_of

OWN = os.path.dirname(corral.__file__)
LIBRARY = os.path.dirname(os.__file__)
PACKAGES = f"{LIBRARY}/site-packages"


def frames(*files: str) -> list[Frame]:
    return [Frame(file, str(number), "f") for number, file in enumerate(files, 1)]


def test_what_faulthandler_writes_is_understood() -> None:
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        stacks = parse(file.read().decode())
    [own] = [stack for stack in stacks if stack.thread == get_ident()]
    assert (own.frames[0].file, own.frames[0].function) == (__file__, "test_what_faulthandler_writes_is_understood")


DUMP = f"""Thread 0x00007f0000000002 (most recent call first):
  File "{LIBRARY}/threading.py", line 331 in wait
  File "/srv/with", line 3 in it.py", line 12 in work
Current thread 0x00007f0000000001 (most recent call first):
  File "/srv/app.py", line 5 in view
  File "{OWN}/worker/sync.py", line 128 in serve
  File "<frozen runpy>", line 88 in _run_code
"""


def test_each_thread_has_a_stack_without_the_servers_own_frames() -> None:
    other, main = parse(DUMP)
    assert (other.thread, main.thread) == (0x7F0000000002, 0x7F0000000001)
    assert other.frames[1] == Frame('/srv/with", line 3 in it.py', "12", "work")
    assert main.lines == ["Current thread 0x00007f0000000001 (most recent call first):",
                          '  File "/srv/app.py", line 5 in view']  # fmt: skip


def test_of_two_dumps_the_later_one_counts() -> None:
    stacks = parse(DUMP + DUMP.replace("in view", "in another"))
    assert [stack.frames[0].function for stack in stacks] == ["wait", "another"]


def test_a_server_that_hangs_by_itself_is_shown_whole() -> None:
    text = f'Current thread 0x1 (most recent call first):\n  File "{OWN}/net/reactor.py", line 99 in turn\n'
    assert parse(text)[0].lines == text.splitlines()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("Fatal Python error: Segmentation fault\n\n", id="no thread"),
        pytest.param("  File \n", id="a frame of no thread"),
    ],
)
def test_text_without_stacks_has_none(text: str) -> None:
    assert parse(text) == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Thread 0xzz\n  File \n", id="no number"),
        pytest.param("Thread 0x\n", id="cut short"),
        pytest.param('Current thread 0x12 (most\n  File "\n  ...\n', id="cut in a frame"),
    ],
)
def test_text_that_is_damaged_harms_nobody(text: str) -> None:
    assert len(parse(text)) == 1


@pytest.mark.parametrize(
    ("files", "line"),
    [
        pytest.param(["/srv/app.py", "/srv/wsgi.py"], 1, id="the innermost of the application's frames"),
        pytest.param([f"{LIBRARY}/socket.py", f"{PACKAGES}/pg.py", "/srv/app.py"], 3, id="not the library's it calls"),
        pytest.param([f"{PACKAGES}/pg.py", f"{PACKAGES}/shop/views.py"], 2, id="an application that is installed"),
        pytest.param([f"{PACKAGES}/pg.py", f"{PACKAGES}/shop.py"], 2, id="or that is one module"),
        pytest.param([f"{LIBRARY}/socket.py", f"{PACKAGES}/pg.py", f"{OWN}/x.py"], 2, id="else a package's"),
        pytest.param(["<frozen importlib>", f"{OWN}/app.py"], 1, id="else where it is"),
        pytest.param(["/usr/lib/python3/dist-packages/pg.py", "/srv/app.py"], 2, id="Debian's packages"),
    ],
)
def test_the_line_of_the_application(files: list[str], line: int) -> None:
    place = place_of(frames(*files), "shop.wsgi:application")
    assert place is not None
    assert place.line == str(line)


def test_no_frames_no_place() -> None:
    assert place_of([], "shop:app") is None
