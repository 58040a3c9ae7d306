"""Speed of scanning a tree into a catalog, and of labeling files that keep changing."""

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import polars as pl

from plastorch.bench.timing import Row, program_mb, row
from plastorch.engine.errors import InputError
from plastorch.files.scan import write_catalog
from plastorch.files.store import LabelStore
from plastorch.files.watch import watch

SUFFIXES = ("c", "h", "py", "txt", "png", "jpg", "gz", "so", "html", "md")
FIRST_BYTES = b"\x89PNG\r\n\x1a\n"
PEER = "os.scandir and stat"
PROGRAMS = {
    "gdu": "-n -p -o {out} {root}",
    "fd": "-HI -t f . {root} -X stat -c %n|%s|%Y|%a",
}
"""Commands of Debian's packages gdu and fd-find that list the files of a tree with their data."""
SCAN = """
import sys
from plastorch.files.scan import write_catalog
write_catalog(sys.argv[1], sys.argv[2], magic=sys.argv[3] == "True")
"""
"""Program that scans a tree."""


class TreeSize(NamedTuple):
    """Sizes of the rows."""

    files: int = 500_000
    rounds: int = 3
    changes: int = 100_000
    changes_s: float = 60.0


class Tree(NamedTuple):
    """A tree to scan, the catalog to write, and the sizes of the rows."""

    root: Path
    out: str
    size: TreeSize


def measure(size: TreeSize) -> Iterator[Row]:
    """Measures row by row scans of a tree whose data is in the system's cache.

    Seconds are CPU time of a process and its children. ``per_second`` is the number of files per
    second of CPU time, thus for one core, and ``elapsed_per_second`` that per second of a clock,
    with as many cores as there are.
    """
    with tempfile.TemporaryDirectory() as folder:
        root, out = Path(folder, "tree"), str(Path(folder, "catalog.parquet"))
        plant(root, size.files)
        tree = Tree(root, out, size)
        yield _against("scan", tree, False, PEER, lambda: floor(root, False))
        peer = f"{PEER}, and the first bytes of each file"
        yield _against("scan-magic", tree, True, peer, lambda: floor(root, True))
        for name, options in PROGRAMS.items():
            program = shutil.which(name) or shutil.which(f"{name}find")
            if program is None:
                continue
            given = options.format(root=root, out=Path(folder, "exported")).split()
            arguments = [program, *given]

            def listing(arguments: list[str] = arguments) -> None:
                subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)

            yield _against(f"scan-{name}", tree, False, f"{name} {options}", listing)
    yield follow(size.changes, size.changes_s)


def absent() -> list[str]:
    """Returns the programs that are not installed, and thus not measured."""
    return [name for name in PROGRAMS if not (shutil.which(name) or shutil.which(f"{name}find"))]


def plant(root: Path, files: int) -> None:
    """Makes a tree of files in folders of 100, three levels deep; their contents take no space but
    for a few bytes in every eighth."""
    random = np.random.default_rng(0)
    sizes = (10 ** random.uniform(0, 6, files)).astype(int)
    for number in range(files):
        folder = root / f"d{number // 10_000}" / f"part{number // 1000 % 10}" / f"{number // 100}"
        if number % 100 == 0:
            folder.mkdir(parents=True)
        with open(folder / f"Item_{number:06}.{SUFFIXES[number % 10]}", "wb") as file:
            if number % 8 == 0:
                file.write(FIRST_BYTES)
            file.truncate(sizes[number])


def floor(root: Path, first_bytes: bool) -> int:
    """Returns the number of files of a tree after a look at each, the least that Python does."""
    found, waiting = 0, [str(root)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                    continue
                entry.stat(follow_symlinks=False)
                found += 1
                if first_bytes:
                    file = os.open(entry.path, os.O_RDONLY)
                    os.read(file, 512)
                    os.close(file)
    return found


def _against(name: str, tree: Tree, magic: bool, peer: str, run: Callable[[], object]) -> Row:
    """Measures scans in turn with a peer, after one of each that is not timed."""
    root, out, size = tree
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    for _ in range(1 + size.rounds):
        ours.append(_seconds(lambda: write_catalog(root, out, magic=magic)))
        theirs.append(_seconds(run))
    (cpu, elapsed), (peer_cpu, peer_elapsed) = (
        (median(column) for column in zip(*seconds[1:], strict=True)) for seconds in (ours, theirs)
    )
    return row(
        name, cpu, peer, peer_cpu, files=size.files, magic=magic,
        per_second=round(size.files / cpu), peer_per_second=round(size.files / peer_cpu),
        elapsed_per_second=round(size.files / elapsed),
        peer_elapsed_per_second=round(size.files / peer_elapsed),
        scan_mb=program_mb(SCAN, str(root), out, str(magic), doing=f"scanning {root}"),
    )  # fmt: skip


def _seconds(run: Callable[[], object]) -> tuple[float, float]:
    """Returns seconds of CPU time, of this process and its children, and of the clock."""
    before, began = os.times(), time.perf_counter()
    run()
    elapsed, after = time.perf_counter() - began, os.times()
    return max(1e-2, sum(after[:4]) - sum(before[:4])), elapsed


class BySize:
    """Source of labels that costs nothing: the number of digits of the size."""

    def describe(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Returns label, confidence and keys of each file."""
        label = pl.col("size").cast(pl.String).str.len_chars().cast(pl.String)
        return frame.select(label=label, confidence=pl.lit(1.0), keys=pl.lit("size"))


def follow(changes: int, seconds: float) -> Row:
    """Measures a watch while a process writes files at a steady pace.

    ``ours_s`` are the seconds from the first change until each file has the label of its last
    state, against those in which the changes came; a ratio far below 1 would be a watch that can't
    follow. ``lag_s`` is the delay after the last change, ``lost`` the number of files that never
    got the right label.
    """
    with tempfile.TemporaryDirectory() as folder:
        root, stop = Path(folder, "tree"), threading.Event()
        for part in range(100):
            (root / f"{part}").mkdir(parents=True)
        path, failed = Path(folder, "labels"), list[BaseException]()

        def work() -> None:
            try:
                with LabelStore(path) as store:
                    watch(BySize(), root, store, model="size", stop=stop)
            except BaseException as error:
                failed.append(error)

        watching = threading.Thread(target=work)
        watching.start()
        time.sleep(2)
        began = time.perf_counter()
        sizes = _change(root, changes, seconds)
        took = time.perf_counter() - began
        right, ended = 0, time.perf_counter()
        while time.perf_counter() - ended < 60 and watching.is_alive():
            right = _right(path, root, sizes)
            if right == len(sizes):
                break
            time.sleep(0.2)
        done = time.perf_counter()
        stop.set()
        watching.join()
        if failed:
            raise InputError(f"the watch failed: {failed[0]}")
    return row(
        "watch", done - began, "the time in which the changes came", took, changes=changes,
        per_minute=round(60 * changes / took), files=len(sizes), lag_s=round(done - ended, 2),
        lost=len(sizes) - right,
    )  # fmt: skip


def _change(root: Path, changes: int, seconds: float) -> dict[str, int]:
    """Writes files evenly over some seconds, each fifth one twice; returns their last sizes."""
    sizes, began = dict[str, int](), time.perf_counter()
    for number in range(changes):
        place = number - 4 if number % 5 == 4 else number
        path, size = root / f"{place % 100}" / f"{place}", 10 ** (number % 7)
        with open(path, "wb") as file:
            file.truncate(size)
        sizes[str(path)] = size
        ahead = began + seconds * number / changes - time.perf_counter()
        if ahead > 0.01:
            time.sleep(ahead)
    return sizes


def _right(path: Path, root: Path, sizes: dict[str, int]) -> int:
    """Returns the number of files whose row in the store has the label of their last size."""
    top = os.path.realpath(root)
    with LabelStore(path, create=False) as store:
        found = {labeled.path: labeled.label for rows in store.rows() for labeled in rows}
    return sum(
        found.get(top + name[len(str(root)) :]) == str(len(str(size)))
        for name, size in sizes.items()
    )
