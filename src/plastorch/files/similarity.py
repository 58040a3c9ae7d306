"""Similarity of two records: S = sum over keys of q_m k_m, q_m = n_m / N its share of the neurons.

Stanojevic, Cherubini, Moraitis, Sebastian, *File Classification Based on Spiking Neural Networks*,
ISCAS 2020, arXiv 2004.03953, set the correlation of input patterns by such a measure. Two values a
and b of a key are compared by k_m in [0, 1], with k_m(a, a) = 1:

========  ====================================================================================
category  1 if they are equal, else 0
number    max(0, 1 - |a - b| / (scale width)), of log(1 + v) if the key says so; the mean of that
          and of whether they are equal if the key tells exact values apart
cycle     max(0, 1 - d / width), d the shorter way around
set       elements in both / elements in either; 1 if both are empty
path      leading components in common / depth of the key, at most 1; 1 if they are equal
missing   0 with everything
========  ====================================================================================

All kinds but numbers are compared as text (see :func:`plastorch.files.column_values.texts`): a
set's elements are joined by "|", a path's components by "/"; empty ones are ignored.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from plastorch.engine.errors import InputError
from plastorch.files.column_values import cells, keyed, members, numbers, prefixes, texts
from plastorch.files.key import Key

ROWS = 256
"""Number of rows of the matrix computed at once."""


def similarity(keys: Sequence[Key], first: Any, second: Any) -> NDArray[np.float64]:
    """Returns the similarity of pairs of records.

    Args:
        keys: keys to compare, weighted by their neurons.
        first: records [B]; see :func:`plastorch.files.as_frame.as_frame`.
        second: records to compare with them, one by one [B].

    Returns:
        Similarities S in [0, 1] [B].

    Raises:
        InputError: the numbers of records differ, or they have none of the keys.

    Example:
        >>> keys = Key("owner", "category", 10), Key("size", "number", 30, width=4.0)
        >>> ada, ben = {"owner": "ada", "size": 5}, {"owner": "ben", "size": 6}
        >>> similarity(keys, [ada, ada], [ada, ben])
        array([1.    , 0.5625])
    """
    left, right = keyed(first, keys), keyed(second, keys)
    if left.height != right.height:
        raise InputError(f"second has {right.height} records; expected {left.height}, as first")
    count = left.height
    total = np.zeros(count)
    for key in keys:
        values, present = _comparable(left[key.name], right[key.name], key)
        a, b = values[:count], values[count:]
        if key.kind == "set":
            both = np.asarray(a.multiply(b).sum(1)).reshape(-1)
            alike = _jaccard(both, _sizes(a), _sizes(b))
        else:
            alike = _kernel(a, b, key)
        total += key.neurons * np.where(present[:count] & present[count:], alike, 0)
    return total / sum(key.neurons for key in keys)


def similarity_matrix(
    keys: Sequence[Key], first: Any, second: Any | None = None
) -> NDArray[np.float32]:
    """Returns the similarity of all pairs of records.

    Args:
        keys: keys to compare, as for :func:`similarity`.
        first: records [B].
        second: records [B2]; None for the first.

    Returns:
        Similarities S [B, B2].

    Raises:
        InputError: the records have none of the keys.

    Example:
        >>> keys = (Key("tags", "set", 10),)
        >>> similarity_matrix(keys, [{"tags": "a|b"}, {"tags": "b|c|d"}])
        array([[1.  , 0.25],
               [0.25, 1.  ]], dtype=float32)
    """
    left = keyed(first, keys)
    right = left if second is None else keyed(second, keys)
    count, neurons = left.height, sum(key.neurons for key in keys)
    total = np.zeros((count, right.height), np.float32)
    for key in keys:
        values, present = _comparable(left[key.name], right[key.name], key)
        b = values[count:]
        for start in range(0, count, ROWS):
            part = slice(start, min(start + ROWS, count))
            a = values[part]
            if key.kind == "set":
                alike = _jaccard((a @ b.T).toarray(), _sizes(a)[:, None], _sizes(b))
            else:
                alike = _kernel(a[:, None], b, key)
            alike = np.where(present[part, None] & present[count:], alike, 0)
            total[part] += (key.neurons / neurons) * alike
    return total


def _kernel(a: Any, b: Any, key: Key) -> Any:
    """Returns k_m of values other than sets, whose last axis is levels."""
    if key.kind not in ("number", "cycle"):
        return (a == b).mean(-1)
    distance = np.abs(a[..., 0] - b[..., 0])
    if key.kind == "cycle":
        distance = np.minimum(distance, key.cells - distance)
    near, equal = np.maximum(0, 1 - distance), (a == b)[..., 1]
    return near + key.exact_neurons / key.neurons * (equal - near)


def _jaccard(both: Any, size_a: Any, size_b: Any) -> Any:
    either = size_a + size_b - both
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)


def _sizes(sets: sparse.csr_array) -> NDArray[np.float32]:
    return np.asarray(sets.sum(1), np.float32).reshape(-1)


def _comparable(left: pl.Series, right: pl.Series, key: Key) -> tuple[Any, NDArray[np.bool_]]:
    """Returns all values, the left ones first, and which are present [B]; values are codes that
    count if equal [B, levels], cells and numbers [B, 2], or the elements of sets [B, E]."""
    if key.kind in ("number", "cycle"):
        place, value = (
            np.concatenate([of(left), of(right)]) for of in (partial(cells, key=key), numbers)
        )
        return np.nan_to_num(np.stack([place, value], 1)), ~np.isnan(place)
    text = pl.concat([texts(left), texts(right)])
    present = text.is_not_null().to_numpy()
    if key.kind == "set":
        return _elements(text), present
    if key.kind == "path":
        levels = [_codes(prefixes(text, depth + 1)) for depth in range(key.depth)]
        return np.stack(levels, 1), present
    return _codes(text)[:, None], present


def _codes(text: pl.Series) -> NDArray[np.int64]:
    return text.rank("dense").fill_null(0).cast(pl.Int64).to_numpy()


def _elements(text: pl.Series) -> sparse.csr_array:
    lists = members(text).rename("element")
    table = pl.DataFrame({"row": np.arange(len(text)), "element": lists}).explode("element")
    table = table.drop_nulls()
    column = _codes(table["element"]) - 1
    shape = (len(text), int(column.max(initial=0)) + 1)
    ones = np.ones(len(column), np.float32)
    return sparse.csr_array((ones, (table["row"].to_numpy(), column)), shape)
