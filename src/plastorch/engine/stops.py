"""Ctrl-C and SIGTERM while something is in hand."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

STOPS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def handled(handler: Any) -> Iterator[None]:
    """Inside it, Ctrl-C and SIGTERM go to a handler; in the main thread alone, which gets them.

    Args:
        handler: what ``signal.signal`` takes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOPS}
    try:
        for number in STOPS:
            signal.signal(number, handler)
        yield
    finally:
        for number in STOPS:
            if signal.getsignal(number) is handler:
                signal.signal(number, before[number])


@contextmanager
def first_stop(ask: Callable[[], object]) -> Iterator[None]:
    """Inside it, the first Ctrl-C or SIGTERM calls a function; a second acts as it does outside.

    Args:
        ask: asks what is in hand to end.

    Example:
        >>> with first_stop(lambda: print("after this step")):
        ...     signal.raise_signal(signal.SIGTERM)
        after this step
    """

    def first(number: int, frame: FrameType | None) -> None:
        taken.close()
        ask()

    with ExitStack() as taken:
        taken.enter_context(handled(first))
        yield
