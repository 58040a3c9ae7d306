"""Records that commands hand to a model: of a catalog, or of a folder that is scanned."""

import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.status import Status

from plastorch.cli.words import one_line
from plastorch.engine.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from plastorch.files.trained import TrainedClassifier


def records_of(
    model: "TrainedClassifier", path: Path, written: Collection[Path] = ()
) -> "Iterable[pl.DataFrame]":
    """Returns the records of a catalog, or of a folder but for what is written, in chunks."""
    from plastorch.files.catalog import frames
    from plastorch.files.scan import scan

    if path.is_dir():
        return scan(path, magic=wants_magic(model), skip=written)
    return frames(path)


def wants_magic(model: "TrainedClassifier") -> bool:
    """Returns whether the model uses files' types by their first bytes."""
    return any(key.name == "magic" for key in model.keys_)


def compare(model: "TrainedClassifier", records: "pl.DataFrame", source: str) -> None:
    """Prints which keys of the model the records lack, or have no number in; they count as
    missing."""
    from plastorch.files.column_values import lacking

    absent = lacking(records.columns, model.keys_)
    if len(absent) == len(model.keys_):
        raise InputError(f"{source} has none of the model's keys: {', '.join(absent)}")
    if absent:
        say(
            f"{source} lacks {len(absent)} of the model's {len(model.keys_)} keys, "
            f"which count as missing: {', '.join(absent)}"
        )
    named = (key.name for key in model.keys_ if key.kind in ("number", "cycle"))
    worded = [name for name in named if name in records.columns and _is_wording(records[name])]
    if worded:
        say(
            f"{source} holds no number in {len(worded)} of the model's {len(model.keys_)} keys, "
            f"which count as missing: {', '.join(worded)}"
        )


def _is_wording(column: "pl.Series") -> bool:
    """Returns whether a column holds text, and no number in it."""
    import polars as pl

    from plastorch.files.column_values import numbers

    if not isinstance(column.dtype, (pl.String, pl.Categorical, pl.Enum)):
        return False
    return column.null_count() < len(column) and bool(np.isnan(numbers(column)).all())


def told_keys(model: "TrainedClassifier") -> str:
    """Returns how many keys a model has, and how many pairs of them, if any."""
    pairs = f", pairs of keys: {len(model.pairs_)}" if model.pairs_ else ""
    return f"{len(model.keys_)} keys{pairs}"


def say(words: str) -> None:
    """Prints a line for the user on stderr."""
    print(one_line(f"plastorch: {words}"), file=sys.stderr)


def status() -> Status:
    """Returns a status line on a terminal; nothing elsewhere."""
    return Console(stderr=True).status("")


@contextmanager
def learning(epochs: int) -> Iterator[Callable[[int, float], None]]:
    """Shows a bar, and yields a function that moves it after each epoch."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    note = TextColumn("{task.fields[note]}")
    bar = Progress(*columns, note, TimeRemainingColumn(), console=Console(stderr=True))
    with bar as progress:
        task = progress.add_task("learning", total=epochs, note="")
        yield lambda epoch, right: progress.update(
            task, completed=epoch + 1, note=f"{right:.1%} right"
        )
