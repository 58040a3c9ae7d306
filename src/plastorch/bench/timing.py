"""Fair timing: two sides in turn in one process; medians, of CPU time for one thread."""

import contextlib
import gc
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import torch

from plastorch.engine.device import peak_memory_gb
from plastorch.engine.errors import InputError
from plastorch.engine.output import check_output, write_atomically
from plastorch.engine.run import describe, versions

Row = dict[str, Any]
WARM_UP = 2


@contextlib.contextmanager
def one_quiet_thread() -> Iterator[None]:
    """Uses one torch thread and no garbage collection inside; restores both afterwards."""
    threads, collected = torch.get_num_threads(), gc.isenabled()
    torch.set_num_threads(1)
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        if collected:
            gc.enable()


def interleaved(
    ours: Callable[[], object],
    peer: Callable[[], object],
    rounds: int,
    around_ours: Callable[[], AbstractContextManager[object]] = nullcontext,
    threads: int = 1,
) -> tuple[float, float]:
    """Runs ours, peer, ours, peer ... and times each call.

    Args:
        ours: function of plastorch.
        peer: function of the peer.
        rounds: number of timed calls per side, after a few untimed ones.
        around_ours: function that returns a context for our side; entering it isn't timed.
        threads: number of torch threads.

    Returns:
        Median seconds per call, ours and peer: CPU time for one thread, else wall-clock time.

    Example:
        >>> interleaved(lambda: sum(range(99)), lambda: sum(range(9999)), 3)[0] >= 0
        True
    """
    seconds: tuple[list[float], list[float]] = ([], [])
    clock = time.process_time if threads == 1 else time.perf_counter
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    for _ in range(WARM_UP + rounds):
        with around_ours():
            seconds[0].append(_seconds(ours, clock))
        seconds[1].append(_seconds(peer, clock))
    torch.set_num_threads(before)
    return median(seconds[0][WARM_UP:]), median(seconds[1][WARM_UP:])


def row(name: str, ours_s: float, peer: str, peer_s: float, **more: object) -> Row:
    """Makes one row of a result file.

    Args:
        name: name of what was measured.
        ours_s: our time in seconds.
        peer: description of the peer.
        peer_s: the peer's time in seconds.
        more: additional fields.

    Returns:
        Fields of the row, with ratio = peer / ours and the peak memory of this process so far.
    """
    figures = {"ours_s": ours_s, "peer": peer, "peer_s": peer_s, "ratio": round(peer_s / ours_s, 3)}
    return {"name": name, **figures, "peak_mb": round(peak_memory_gb() * 1000), **more}


def line(row: Row) -> str:
    """Formats a row for display.

    Example:
        >>> line({"name": "step", "ours_s": 0.01, "peer_s": 0.02, "ratio": 2.0, "peak_mb": 9})
        'step            ours    10.00 ms   peer    20.00 ms   ratio   2.00   peak 9 MB'
    """
    words = (
        f"{row['name']:<15} ours {_duration(row['ours_s'])}   peer {_duration(row['peer_s'])}"
        f"   ratio {row['ratio']:6.2f}   peak {row['peak_mb']} MB"
    )
    return words if row.get("equal", True) else f"{words}   NOT EQUAL"


def check_out(out: Path) -> None:
    """Checks that a result file can be written, without creating anything.

    Raises:
        InputError: the file can't be written.
    """
    try:
        nearest = next(folder for folder in out.absolute().parents if folder.exists())
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise InputError(f"out is {str(out)!r}: can't write there: {error.strerror}") from None
    if out.parent.is_dir():
        check_output(out)


def write_rows(out: Path, group: str, data: dict[str, object], rows: list[Row]) -> None:
    """Writes a result file, with the machine, versions and date; call it right after the timing.

    The folder of the file is created.

    Raises:
        InputError: the file can't be written.
    """
    machine = {
        "cpu": describe(torch.device("cpu")),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    contents = {
        "group": group,
        "machine": machine,
        "versions": versions(),
        "date": time.strftime("%Y-%m-%d"),
        "data": data,
        "rows": rows,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, json.dumps(contents, indent=1).encode() + b"\n")


def _seconds(run: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    run()
    return clock() - start


def _duration(seconds: float) -> str:
    return f"{seconds:8.1f} s " if seconds >= 10 else f"{seconds * 1000:8.2f} ms"
