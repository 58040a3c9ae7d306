"""Fair timing: two sides take turns in one process; medians, of CPU time for one thread."""

import contextlib
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import torch

from plastorch.engine.device import denormals_flushed, peak_memory_gb
from plastorch.engine.errors import InputError
from plastorch.engine.output import check_output, write_atomically
from plastorch.engine.run import describe, versions

Row = dict[str, Any]
WARM_UP = 2
_PEAK = """
from plastorch.engine.device import peak_memory_gb
print(round(peak_memory_gb() * 1000))
"""


@contextlib.contextmanager
def one_quiet_thread() -> Iterator[None]:
    """Uses one torch thread, no garbage collection and no denormal numbers inside, as a run does;
    restores all afterwards."""
    threads, collected = torch.get_num_threads(), gc.isenabled()
    torch.set_num_threads(1)
    gc.collect()
    gc.disable()
    try:
        with denormals_flushed():
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
    """Returns the median seconds per call of ``ours`` and ``peer``, which take turns.

    The seconds are CPU time for one thread, else wall-clock time. The first few calls, and entering
    the context that ``around_ours`` returns, are not timed.
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
    """Returns a row of a result file, with ratio = peer / ours and peak memory so far in MB."""
    figures = {"ours_s": ours_s, "peer": peer, "peer_s": peer_s, "ratio": round(peer_s / ours_s, 3)}
    return {"name": name, **figures, "peak_mb": round(peak_memory_gb() * 1000), **more}


def program_mb(program: str, *arguments: str, doing: str) -> int:
    """Returns the peak memory in MB of a Python program that runs in a process of its own.

    Args:
        program: source of the program, which prints nothing.
        arguments: its command line arguments.
        doing: what the program does, for the error message.

    Raises:
        InputError: the program failed.
    """
    told = subprocess.run(
        [sys.executable, "-c", program + _PEAK, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if told.returncode != 0:
        raise InputError(f"{doing} failed: {told.stderr.strip()[-300:]}")
    return int(told.stdout)


def line(row: Row) -> str:
    """Formats a row for display."""
    words = (
        f"{row['name']:<15} ours {_duration(row['ours_s'])}   peer {_duration(row['peer_s'])}"
        f"   ratio {row['ratio']:6.2f}   peak {row['peak_mb']} MB"
    )
    return words if row.get("equal", True) else f"{words}   NOT EQUAL"


def check_out(out: Path) -> None:
    """Raises InputError unless a result file can be written; creates nothing."""
    try:
        nearest = next(folder for folder in out.absolute().parents if folder.exists())
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise InputError(f"out is {str(out)!r}: can't write there: {error.strerror}") from None
    if out.parent.is_dir():
        check_output(out)


def write_rows(out: Path, group: str, data: dict[str, object], rows: list[Row]) -> None:
    """Writes a result file, with machine, versions and date, and makes its folder.

    Call it right after the timing. Raises InputError if the file can't be written.
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
