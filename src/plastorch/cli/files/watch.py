"""``plastorch files watch``: labels of files as they appear and change."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import tyro
from rich.text import Text

from plastorch.cli.files.abstain import Cautious, check_abstention, least_confidence
from plastorch.cli.files.records import compare, say, status, wants_magic

LINE_S = 60.0
"""Seconds between lines of a watch that has no terminal."""


@dataclass(frozen=True)
class Watch:
    """Labels the files of a folder, and those that appear or change, until Ctrl-C.

    Args:
        model: file that plastorch files fit wrote.
        folder: folder to watch.
        store: SQLite database of the labels; created if it is missing.
        min_confidence: confidence, 0 to 1, below which a file's label is empty.
        coverage: instead of min_confidence, share of the files to label, as for plastorch files
            predict.
        rescan_s: seconds between comparisons of the whole tree with the store.
    """

    model: tyro.conf.Positional[Path]
    folder: tyro.conf.Positional[Path]
    store: Path
    min_confidence: float | None = None
    coverage: float | None = None
    rescan_s: float = 60.0

    def __post_init__(self) -> None:
        check_abstention(self.min_confidence, self.coverage)


def watch(options: Watch) -> None:
    """Labels files until Ctrl-C."""
    import polars as pl

    from plastorch.files.metadata import schema
    from plastorch.files.reconcile import Counts
    from plastorch.files.single_rows import records
    from plastorch.files.store import LabelStore
    from plastorch.files.tagger import load_model
    from plastorch.files.watch import watch as watched

    model = load_model(options.model)
    magic = wants_magic(model)
    least = least_confidence(model, options.min_confidence, options.coverage)
    compare(model, pl.DataFrame(schema=schema(magic)), "files")

    told = -LINE_S

    def tell(counts: Counts) -> None:
        nonlocal told
        line.update(Text(f"{options.folder}: {counts}"))
        if not line.console.is_terminal and time.monotonic() - told >= LINE_S:
            told = time.monotonic()
            say(f"{options.folder}: {counts}")

    with LabelStore(options.store) as store, status() as line:
        line.update(Text(f"{options.folder}: first scan; Ctrl-C ends the watch"))
        counts = watched(
            Cautious(model, least),
            options.folder,
            store,
            model=f"{model.fingerprint} from {least}" if least > 0 else model.fingerprint,
            rescan_s=options.rescan_s,
            read=partial(records, magic=magic),
            tell=tell,
        )
    print(f"{options.store}: {counts}")
