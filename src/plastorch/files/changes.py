"""Bounded queue of the places below a folder that the system reports as changed.

The system's events are only hints, as some never arrive. The library that passes them on does not
report an overflow of the system's queue (16,384 events on Linux) or the files that a new folder
had before it was watched, and it stops for good at a name that is not UTF-8. So whatever may have
been missed is looked at again:

- a new folder, once the library has had time to watch it;
- the whole tree, after many changes at once, after a restart of the library, or when more places
  wait than the queue holds.

Changes without events are found only by a walk from time to time, which is left to the caller:
changes on a network file system or through mapped memory, and in folders that aren't watched
because the system can't watch more, or because they, or others before them, can't be read.
"""

import contextlib
import os
import stat
import threading
import time
from typing import Self

from watchfiles import Change
from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

LIMIT = 10_000
"""Largest number of waiting places; beyond it, the whole tree takes their place."""

BURST = 1_000
"""Number of changes at once from which on the system's queue may have overflowed; a file that is
made and written gives four events."""

SETTLE_S = 1.0
"""Seconds until a doubtful place is looked at again."""

_GROUP_MS, _QUIET_MS = 500, 50
"""Milliseconds after which events are passed on: since the first one, and without a new one."""


class Changes:
    """Listens for changes in a thread of its own while its ``with`` block runs; the root is an
    absolute path without symbolic links."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.notice = ""
        """Reason why some changes are not reported, or empty."""
        self._places: set[str] = set()
        self._doubts: dict[str, float] = {}
        self._told = threading.Condition()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="changes", daemon=True)

    def __enter__(self) -> Self:
        self._watcher = self._open()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.set()
        self._thread.join()

    def take(self, timeout_s: float) -> set[str]:
        """Returns absolute paths to look at, folders with all that is below; some may be gone. If
        the root is among them, it is the only one."""
        with self._told:
            if not self._places:
                self._told.wait(timeout_s)
            now = time.monotonic()
            due = {place for place, when in self._doubts.items() if when <= now}
            self._doubts = {place: when for place, when in self._doubts.items() if when > now}
            places, self._places = self._places | due, set()
        return {self.root} if self.root in places else places

    def hear(self, changes: set[tuple[int, str]]) -> None:
        """Queues changes, given by kind and path."""
        places = {path for _, path in changes}
        if len(places) >= BURST:
            doubts = [self.root]
        else:
            added = (path for change, path in changes if change == Change.added)
            doubts = [path for path in added if _is_folder(path)]
        until = time.monotonic() + SETTLE_S
        with self._told:
            self._places |= places
            self._doubts |= dict.fromkeys(doubts, until)
            if len(self._places) > LIMIT:
                self._places = {self.root}
            if len(self._doubts) > LIMIT:
                self._doubts = {self.root: until}
            self._told.notify()

    def _listen(self) -> None:
        while self._watcher is not None:
            with contextlib.closing(self._watcher) as watcher:
                self._hear_all(watcher)
            if self._closing.wait(SETTLE_S):
                return
            self._watcher = self._open()
            with self._told:
                self._doubts[self.root] = time.monotonic() + SETTLE_S

    def _hear_all(self, watcher: RustNotify) -> None:
        """Runs until the ``with`` block ends or the library fails, after which it can't go on."""
        with contextlib.suppress(WatchfilesRustInternalError):
            # With a timeout, the library may drop events that arrive just as the time is over.
            while not isinstance(
                changes := watcher.watch(_GROUP_MS, _QUIET_MS, 0, self._closing), str
            ):
                self.hear(changes)

    def _open(self) -> RustNotify | None:
        self.notice = ""
        try:
            return _watcher(self.root, careless=False)
        except (OSError, WatchfilesRustInternalError, UnicodeError) as error:
            self.notice = f"not all folders are watched: {str(error).partition(' (')[0]}"
        with contextlib.suppress(OSError, WatchfilesRustInternalError, UnicodeError):
            return _watcher(self.root, careless=True)
        return None


def _watcher(root: str, careless: bool) -> RustNotify:
    """Opens the library's watcher of a tree; a careless one watches only the folders it can."""
    return RustNotify(
        [root],
        debug=False,
        force_polling=False,
        poll_delay_ms=300,
        recursive=True,
        ignore_permission_denied=careless,
    )


def _is_folder(path: str) -> bool:
    with contextlib.suppress(OSError):
        return stat.S_ISDIR(os.lstat(path).st_mode)
    return False
