"""Labels for the files of a folder as they appear and change.

Work is decided by the difference between the tree and the store; the system's events only tell
where to look (:mod:`plastorch.files.changes`). The whole tree is compared with the store at the
start, after anything that may have lost events, and at intervals, so that a label missing for any
reason, such as a killed process or a power failure, is added then. A row holds the state of its
file from before the file was read: a change in between shows as a difference next time.

A file that is still being written gets a label each time it is looked at; the last one is that of
its last state. A file that vanishes loses its row, a renamed one gets a row under its new name.
Rows of files in an unreadable folder stay. Symbolic links are not followed, and the store's own
files are not labeled. A label isn't renewed because the file grew older.

Many files at once can't fill the memory: files are labeled in batches, a walk holds the names of
one folder at a time, and the queue of places to look at is bounded.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

from plastorch.engine.errors import check_positive
from plastorch.engine.stops import first_stop
from plastorch.files.changes import Changes
from plastorch.files.reconcile import Counts, Labeler, Read, Reconciler
from plastorch.files.single_rows import records
from plastorch.files.store import LabelStore

__all__ = ["Counts", "Labeler", "Read", "watch"]

_PAUSE_S = 0.1
"""Seconds between checks of the stop event and the root while nothing happens."""


def watch(
    labeler: Labeler,
    root: Path | str,
    store: LabelStore,
    *,
    model: str,
    rescan_s: float = 60.0,
    stop: threading.Event | None = None,
    read: Read = records,
    tell: Callable[[Counts], None] = lambda counts: None,
) -> Counts:
    """Labels the files of a folder, and those that appear or change, until stopped.

    Args:
        labeler: source of the labels.
        root: folder to watch.
        store: store of the labels; no other process may watch for it at the same time.
        model: identifier of the model behind the labels; labels of other models are renewed.
        rescan_s: seconds between comparisons of the whole tree with the store; longer if one takes
            more than a tenth of that.
        stop: event that ends the watch after the current batch; without it, Ctrl-C and SIGTERM do,
            but only in the main thread: nothing ends the watch in another one.
        read: function that reads records for the labeler.
        tell: callback after each change.

    Returns:
        Counts of what was done.

    Raises:
        InputError: the root is not a folder, can't be read, or is removed or replaced while
            watched; or the store is in use or can't be written. Labels already written are kept.

    Example:
        >>> import tempfile, polars
        >>> class Small:
        ...     def describe(self, frame):
        ...         label, keys = polars.lit("small"), polars.lit("size")
        ...         return frame.select(label=label, confidence=1.0, keys=keys)
        >>> stop = threading.Event()
        >>> with tempfile.TemporaryDirectory() as folder, LabelStore(f"{folder}/labels") as store:
        ...     _ = Path(folder, "note.txt").write_text("hello")
        ...     counts = watch(Small(), folder, store, model="small", stop=stop,
        ...                    tell=lambda counts: stop.set())
        ...     print(counts)
        ...     store.counts()
        1 labeled, 0 removed, 0 vanished
        {'small': 1}
    """
    check_positive(rescan_s=rescan_s)
    with contextlib.ExitStack() as stack:
        if stop is None:
            stop = threading.Event()
            stack.enter_context(first_stop(stop.set))
        stack.enter_context(store.alone())
        work = Reconciler(
            labeler, root, store, model=model, read=read, tell=tell, stopped=stop.is_set
        )
        changes = stack.enter_context(Changes(work.root))
        _follow(work, changes, rescan_s, stop)
    return work.counts


def _follow(work: Reconciler, changes: Changes, rescan_s: float, stop: threading.Event) -> None:
    """Looks at what changes, and at the whole tree from time to time, until stopped."""
    next_walk = time.monotonic()
    while not stop.is_set():
        places = changes.take(_PAUSE_S)
        work.check_root()
        began = time.monotonic()
        if began >= next_walk:
            places = {work.root}
        if places:
            work.counts.notice = changes.notice
            work.look(places)
        if work.root in places:
            ended = time.monotonic()
            next_walk = ended + max(rescan_s, 10 * (ended - began))
