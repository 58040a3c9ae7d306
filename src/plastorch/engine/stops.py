"""Ctrl-C and SIGTERM while work is in progress."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

STOPS = (signal.SIGINT, signal.SIGTERM)
how_to_go_on = ""
"""End of the last line of a process that is stopped while a module is imported."""


@contextmanager
def resumable(how: str) -> Iterator[None]:
    """Adds to the message of any stop inside how to resume, also if the process ends at once."""
    global how_to_go_on
    how_to_go_on = f"; {how}"
    try:
        yield
    finally:
        how_to_go_on = ""


@contextmanager
def kept() -> Iterator[None]:
    """Restores the handlers of Ctrl-C and SIGTERM after its ``with`` block; in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def handled(handler: Any) -> Iterator[None]:
    """Handles Ctrl-C and SIGTERM by a handler of ``signal.signal``; in the main thread only."""
    with kept():
        if threading.current_thread() is threading.main_thread():
            for number in STOPS:
                signal.signal(number, handler)
        yield


@contextmanager
def first_stop(ask: Callable[[], object]) -> Iterator[None]:
    """Calls a function on the first Ctrl-C or SIGTERM inside; a second one acts as outside."""

    def first(number: int, frame: FrameType | None) -> None:
        taken.close()
        ask()

    with ExitStack() as taken:
        taken.enter_context(handled(first))
        yield
