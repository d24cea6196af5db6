"""A wait is logged, and given up: at once where something else went wrong."""

from __future__ import annotations

from threading import Event
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from py4j.protocol import Py4JNetworkError

from retraining.errors import RetrainingError
from retraining.spark import patience

if TYPE_CHECKING:
    from collections.abc import Callable

ROOM = patience.Lack("the cluster has no room", "make some", 0.1)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_SECONDS_BETWEEN_LOOKS", 0.001)
    monkeypatch.setattr(patience, "_SECONDS_TO_FIRST_LINE", 0.01)


def wait(lack: Callable[[], patience.Lack], waits: Callable[[], bool], given_up: Event) -> None:
    with patience.patience(lack, waits, given_up.set):
        given_up.wait(60)
        raise OSError("Spark was stopped")


def test_a_wait_is_logged_and_given_up(caplog: pytest.LogCaptureFixture) -> None:
    given_up = Event()
    with pytest.raises(RetrainingError, match=r"^the cluster has no room: make some$"):
        wait(lambda: ROOM, lambda: True, given_up)
    assert given_up.is_set()
    assert caplog.messages[0].startswith("the cluster has no room: waits for 0.")
    assert caplog.messages[0].endswith(" now, 0.1 s at most")


def test_lines_come_ever_less_often_and_time_counts_for_each_lack(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    monkeypatch.setattr(patience, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(patience, "_SECONDS_TO_FIRST_LINE", 30)
    room, machine = ROOM._replace(seconds=7200), ROOM._replace(seconds=300)
    waiting = patience._Wait()

    def lines(lack: patience.Lack, seconds: int) -> int:
        caplog.clear()
        for _ in range(seconds):
            now[0] += 1
            assert not waiting.is_too_long(lack)
        return len(caplog.messages)

    # After half a minute, one, two, four, eight and sixteen, then every quarter of an hour.
    assert lines(room, 1000) == 6
    assert lines(room, 3600) == 4
    assert lines(machine, 300) == 4
    assert lines(room, 7200) > 0
    now[0] += 1
    assert waiting.is_too_long(room)


def test_other_failures_stay_what_they_are() -> None:
    def gone() -> bool:
        raise Py4JNetworkError("the JVM has ended")

    given_up = Event()
    given_up.set()
    with pytest.raises(OSError, match="Spark was stopped"):
        wait(lambda: ROOM, gone, given_up)
