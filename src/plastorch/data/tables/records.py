"""Labeled records with key-value metadata: Debian's files and packages, and four classics."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plastorch.data.catalog import CATALOG
from plastorch.data.images.formats import read_bytes
from plastorch.data.locate import located
from plastorch.engine.errors import InputError, check_one_of, require

if TYPE_CHECKING:
    import polars as pl

NAME = "metadata"
LABEL = "label"
SPLIT = "split"
MOST_NAME = 1000
"""Largest length of a class name in bytes: an array of names takes four times that per record."""


TABLES = ("adult", "krkopt", "nursery", "mushroom", "debian_files", "debian_packages")
_QUESTION_MARKS = ("adult", "mushroom")
"""Tables in which "?" is a missing value."""
_CODES = ("krkopt",)
"""Tables whose numbers are codes, whose order means nothing."""


@dataclass(frozen=True)
class Table:
    """Labeled records; labels are text [B].

    The frame has a column per key: text (several values joined by "|") or whole numbers; null is a
    missing value.
    """

    name: str
    frame: "pl.DataFrame"
    labels: NDArray[np.str_]
    source: str
    sha256: str


def load_table(name: str, data: str | Path | None = None) -> Table:
    """Loads a table of labeled records from the data root; there is no download.

    The files are ``metadata/NAME.csv.gz``, with a header; the column ``label`` is the class, every
    other column a key, except ``split`` of ``adult`` (its official parts), which is left out. An
    empty value is missing, and so is "?" in ``adult`` and ``mushroom``.

    - ``debian_files``: files of an installed Debian 13 system, by type of content as ``file`` finds
      it. Keys are parts of path and name, size, mode, and those of the package that owns it.
    - ``debian_packages``: package files of Debian 13 (main, amd64), by section. Keys are fields of
      the index.
    - ``adult`` (persons of a census; income), ``krkopt`` (chess endgames of king and rook against
      king; moves to mate, 17 is a draw; coordinates are text), ``nursery`` (applications to a
      nursery school; rank), ``mushroom`` (edible or poisonous): UCI Machine Learning Repository,
      CC BY 4.0.

    Raises InputError if the name is unknown, or the file is missing or damaged.
    """
    check_one_of(TABLES, name=name)
    entry = CATALOG[NAME]
    path = located(entry, data) / f"{name}.csv.gz"
    if not path.is_file():
        raise InputError(f"{path} is missing; to get it: {entry.how_to_get(data)}")
    frame = _read(path, name)
    return Table(
        name=name,
        frame=frame.drop(LABEL, SPLIT, strict=False),
        labels=np.array(frame[LABEL].to_list(), np.str_),
        source=f"data root: {path.parent.name}",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def _read(path: Path, name: str) -> "pl.DataFrame":
    """Reads a table, and checks that every record has a label."""
    require("polars", "files")
    import polars as pl

    try:
        frame = pl.read_csv(
            read_bytes(path),
            null_values=["", "?"] if name in _QUESTION_MARKS else [""],
            infer_schema=name not in _CODES,
            infer_schema_length=None,
            schema_overrides={LABEL: pl.String},
        )
    except InputError:
        raise
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
        reason = (str(error).splitlines() or ["?"])[0]
        raise InputError(f"{path} is damaged: {reason}; expected a gzipped CSV file") from None
    if frame.columns[:1] != [LABEL] or frame[LABEL].null_count() or frame.width < 2:
        raise InputError(f"{path} is damaged; expected a column {LABEL} without gaps, then keys")
    longest: Any = frame[LABEL].str.len_bytes().max()
    if frame.is_empty() or longest > MOST_NAME:
        raise InputError(f"{path} is damaged; expected classes of at most {MOST_NAME} bytes")
    return frame
