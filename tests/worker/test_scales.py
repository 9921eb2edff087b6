"""max_worker_memory: when a worker is looked at, and what follows."""

import logging

import pytest

from corral.shared.process import private_memory
from corral.shared.scoreboard import Wish
from corral.worker.scales import INTERVAL, Scales

NOW = 1000 * INTERVAL


@pytest.fixture
def wishes():
    return []


def scales(most, wishes):
    def wish(which):
        wishes.append(which)
        return len(wishes) == 1

    return Scales(most, logging.getLogger("test"), wish)


def test_this_process_has_memory_of_its_own():
    before = private_memory()
    hoard = b"x" * (32 << 20)
    assert private_memory() >= before + len(hoard) * 9 // 10
    assert before > 1 << 20


def test_a_worker_past_the_limit_wants_to_be_replaced(wishes, caplog):
    caplog.set_level(logging.INFO)
    light = scales(1, wishes)
    light.weigh(NOW, 1)
    light.weigh(NOW + INTERVAL, 2)
    assert wishes == [Wish.MEMORY] * 2
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("most", "looks", "seen"),
    [
        pytest.param(0, [(NOW, 1)], 0, id="without a limit nobody looks"),
        pytest.param(1 << 40, [(NOW, 1)], 0, id="below the limit nothing follows"),
        pytest.param(1, [(NOW, 0)], 0, id="nor before the first request"),
        pytest.param(1, [(NOW, 1), (NOW + INTERVAL - 1, 9)], 1, id="not again within a few seconds"),
        pytest.param(1, [(NOW, 1), (NOW + INTERVAL, 1)], 1, id="nor without requests since"),
        pytest.param(1, [(NOW, 1), (NOW + INTERVAL, 2)], 2, id="else again"),
    ],
)
def test_when_it_is_looked_at(wishes, most, looks, seen):
    subject = scales(most, wishes)
    for now, requests in looks:
        subject.weigh(now, requests)
    assert len(wishes) == seen
