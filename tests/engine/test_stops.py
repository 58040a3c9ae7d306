"""Ctrl-C and SIGTERM while something is in hand."""

import signal
import threading

import pytest

from plastorch.engine.stops import STOPS, first_stop


@pytest.fixture
def outer() -> list[int]:
    """The signals that get through to handlers outside."""
    got: list[int] = []
    before = [signal.signal(number, lambda number, frame: got.append(number)) for number in STOPS]
    yield got
    for number, handler in zip(STOPS, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("first", STOPS)
@pytest.mark.parametrize("second", STOPS)
def test_the_first_stop_asks_and_a_second_gets_through(
    outer: list[int], first: signal.Signals, second: signal.Signals
) -> None:
    asked: list[str] = []
    with first_stop(lambda: asked.append("inside")):
        signal.raise_signal(first)
        assert asked == ["inside"] and outer == []
        signal.raise_signal(second)
    signal.raise_signal(second)
    assert asked == ["inside"] and outer == [second, second]


def test_what_has_asked_already_does_not_come_back(outer: list[int]) -> None:
    """Two, one in the other: the inner's end does not put back the outer one, which has asked."""
    asked: list[str] = []
    with first_stop(lambda: asked.append("outside")):
        with first_stop(lambda: asked.append("inside")):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert asked == ["inside", "outside"] and outer == [signal.SIGINT]


def test_another_thread_leaves_the_handlers(outer: list[int]) -> None:
    def work() -> None:
        with first_stop(lambda: pytest.fail("asked")):
            signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert outer == [signal.SIGINT]
