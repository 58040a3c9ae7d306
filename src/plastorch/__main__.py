"""The process of ``plastorch``, which is ``python -m plastorch``.

Ctrl-C and SIGTERM end it with status 130 and a line, whenever they come. So it is ready for them
before anything else is imported.
"""

import atexit
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

TYPE_CHECKING = False  # as in typing, whose import takes longer than all of this
if TYPE_CHECKING:
    from typing import NoReturn

STOPPED = 130
"""The exit status, as a shell has it after Ctrl-C."""


def main() -> int:
    """Runs the command line until it ends or is stopped; returns its exit status."""
    interrupted = False
    status: int | None = None

    def stop(number: int, frame: FrameType | None) -> None:
        """Has what is in hand put away; a second stop doesn't wait for that."""
        nonlocal interrupted
        if interrupted or _imports(frame):
            _stopped()
        interrupted = True
        raise KeyboardInterrupt

    def end() -> None:
        """The last exit function: to free all takes seconds, and may crash after a stop of Ray."""
        _handle_stops(signal.SIG_IGN)
        if status is not None:
            try:
                sys.stdout.flush()
            finally:
                os._exit(status)

    _handle_stops(stop)
    atexit.register(end)
    try:
        try:
            from plastorch.cli import main as command

            status = command()
        finally:  # exit functions wait for threads
            _handle_stops(lambda number, frame: os._exit(STOPPED if status is None else status))
    except KeyboardInterrupt:
        _stopped()
    return status


def _handle_stops(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _imports(frame: FrameType | None) -> bool:
    """Whether a module is being imported, in which an exception can get lost."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _stopped() -> "NoReturn":
    """Ends the process at once; of several workers, the first says so."""
    try:
        if os.environ.get("RANK", "0") == "0":
            bar = "\r\x1b[K\x1b[?25h" if os.isatty(2) else ""  # is cleared, the cursor shown
            how = getattr(sys.modules.get("plastorch.engine.stops"), "how_to_go_on", "")
            os.write(2, f"{bar}plastorch: stopped{how}\n".encode())
    finally:
        os._exit(STOPPED)


if __name__ == "__main__":
    sys.exit(main())
