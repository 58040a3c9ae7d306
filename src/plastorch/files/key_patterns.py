"""Spike patterns of many records, stored as the distinct patterns of each key.

The million records of a catalog have only a few hundred different owners, folders, sizes in a
grid; only these are encoded.
"""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plastorch.engine.threads import in_threads
from plastorch.files.column_values import keyed, numbers, texts
from plastorch.files.encode import CorrelativeEncoder
from plastorch.files.key import Key
from plastorch.spiking.patterns.parts import Parts

_MISSING = 2**64 - 1


def encode_parts(encoder: CorrelativeEncoder, records: Any) -> Parts:
    """Encodes records as spike patterns, one part per key.

    Args:
        encoder: encoder with N input neurons.
        records: records, as for :func:`plastorch.files.as_frame.as_frame`.

    Returns:
        Parts with the same patterns as :meth:`CorrelativeEncoder.encode`.

    Raises:
        InputError: the records have none of the keys.

    Example:
        >>> from plastorch.files.keys import infer_keys
        >>> rows = [{"owner": "ada", "size": 7}, {"owner": "bob", "size": 9}, {"owner": "ada"}]
        >>> parts = encode_parts(CorrelativeEncoder(infer_keys(rows, neurons=8)), rows)
        >>> parts.codes
        array([[0, 0],
               [1, 1],
               [0, 2]], dtype=uint32)
    """
    from plastorch.files.distinct import distinct

    frame = keyed(records, encoder.keys)
    codes = np.empty((frame.height, len(encoder.keys)), np.uint32)
    firsts = [np.empty(0, np.int64) for _ in encoder.keys]

    def look(begin: int, end: int) -> None:
        for part in range(begin, end):
            words = _words(frame[encoder.keys[part].name], encoder.keys[part])
            codes[:, part], firsts[part] = distinct(words[:, np.newaxis])

    in_threads(look, len(encoder.keys), frame.height * len(encoder.keys) // 100_000)
    tables = []
    for part, key in enumerate(encoder.keys):
        values = frame[key.name].gather(firsts[part]).to_frame()
        table = CorrelativeEncoder((key,), encoder.bins, encoder.seed).encode(values)
        if key.kind in ("number", "cycle"):  # many numbers have the same pattern
            again, rows = distinct(_padded(table))
            codes[:, part], table = again[codes[:, part]], table[rows]
        tables.append(table)
    return Parts(tables, codes)


def _words(column: pl.Series, key: Key) -> NDArray[np.uint64]:
    """Returns words that are equal for equal values [B]."""
    if key.kind in ("number", "cycle"):
        return numbers(column).view(np.uint64)
    codes = texts(column).cast(pl.Categorical).to_physical().cast(pl.UInt64)
    return codes.fill_null(_MISSING).to_numpy()


def _padded(table: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Pads rows of bytes to rows of words."""
    rows, width = table.shape
    padded = np.zeros((rows, -(-width // 8) * 8), np.uint8)
    padded[:, :width] = table
    return padded.view(np.uint64)
