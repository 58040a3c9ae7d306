"""How the keys of records are learned: their kinds, statistics and shares of the neurons."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from plastorch.engine.errors import InputError, check_positive
from plastorch.files.as_frame import as_frame
from plastorch.files.column_values import components, numbers, texts
from plastorch.files.key import KINDS, Key, Kind
from plastorch.files.neuron_allocation import apportion, key_shares

CALENDAR: Mapping[str, float] = {"hour": 24, "weekday": 7, "month": 12}
"""Periods of keys that are cycles by name."""
FEW = 10
"""Largest number of different whole numbers in a key that counts as a category."""
RECURRING = 20
"""Number of records per different value of a number from which on exact values count too."""
DAY = 86400.0
"""Length of a day in seconds."""
CYCLE_CELLS = 4
"""Number of widths in a cycle's period, by default."""
SKEW = 10
"""Ratio of upper to lower quartile, both plus 1, from which on logarithms are taken."""
USUAL_DEPTH = 0.9
"""Share of the training paths that the depth of a key covers."""
MOST_DEPTH = 32
"""Largest number of path components that count: each costs another look at all records."""


def infer_keys(
    records: Any,
    labels: ArrayLike | None = None,
    neurons: int = 400,
    kinds: Mapping[str, Kind] | None = None,
    periods: Mapping[str, float] = CALENDAR,
    width: float = 1.0,
) -> tuple[Key, ...]:
    """Learns the keys from training records.

    A column is

    - a cycle if it is numeric and has a period, or holds times of the day;
    - a number if it holds numbers, dates, times or durations. Whole numbers are codes instead if at
      most ten different ones occur, each in two records or more on average;
    - a set if it holds lists, or if one of its texts contains "|", which joins the elements;
    - a path if at least half of its texts contain "/";
    - a category in all other cases: text, truth values, codes.

    A key that has the same value in every record, or is missing in all, is uninformative and
    dropped; one that is sometimes missing and otherwise the same is kept. A number's center is the
    median, its scale the interquartile range or, if that is 0, the mean distance to the median.
    Logarithms are taken of numbers that are never negative and whose quartiles differ by a factor
    of more than ten. If there are 20 records or more per different value of a number, half of its
    neurons tell exact values apart. The depth of paths is such that 90 % of them are no deeper, and
    at most 32.

    Args:
        records: training records; see :func:`plastorch.files.as_frame.as_frame`.
        labels: classes [B]. With them, a key's share of the neurons is proportional to the mutual
            information of its values and the classes, 2 % at least; otherwise shares are equal.
        neurons: total number of neurons N, at least one per key.
        kinds: kinds of keys for which the rules above choose another one.
        periods: periods of numeric keys that are cycles; a cycle's width is a quarter of it.
        width: width of numbers, in scales.

    Returns:
        Informative keys in the order of the columns; their neurons sum to N.

    Raises:
        InputError: no key is informative, there are fewer neurons than keys, labels are missing or
            too few, or ``kinds`` names a key that is missing or can't be of that kind.

    Example:
        >>> rows = [{"owner": "ada", "bytes": 2**i, "path": f"/home/{i}"} for i in range(20)]
        >>> [(key.name, key.kind, key.neurons) for key in infer_keys(rows)]
        [('bytes', 'number', 200), ('path', 'path', 200)]
    """
    frame, kinds = as_frame(records), kinds or {}
    check_positive(width=width)
    keys = [
        _learn(
            column,
            kinds.get(column.name) or _kind(column, column.name in periods),
            periods.get(column.name, 0),
            width,
        )
        for column in _telling(frame, neurons, kinds)
    ]
    shares = key_shares(frame, keys, labels, 1 / neurons)
    counts = apportion(shares, neurons)
    return tuple(replace(key, neurons=n) for key, n in zip(keys, counts, strict=True))


def _telling(frame: pl.DataFrame, neurons: int, kinds: Mapping[str, Kind]) -> list[pl.Series]:
    for name, kind in kinds.items():
        if name not in frame.columns or kind not in KINDS:
            raise InputError(
                f"kinds has {name!r}: {kind!r}; expected keys of the records and {', '.join(KINDS)}"
            )
    telling = [column for column in frame if column.n_unique() > 1]
    if not telling:
        raise InputError("records all have the same values; expected a key that varies")
    if neurons < len(telling):
        raise InputError(f"neurons are {neurons}; expected one or more per key: {len(telling)}")
    return telling


def _kind(column: pl.Series, has_period: bool) -> Kind:
    dtype = column.dtype
    if isinstance(dtype, (pl.List, pl.Array)):
        return "set"
    if isinstance(dtype, pl.Time) or (has_period and dtype.is_numeric()):
        return "cycle"
    if dtype.is_temporal():
        return "number"
    if dtype.is_numeric():
        return "category" if _are_codes(column) else "number"
    if isinstance(dtype, pl.Boolean):
        return "category"
    text = column.cast(pl.String).drop_nulls()
    if text.str.contains("/", literal=True).mean() >= 0.5:  # type: ignore[operator]
        return "path"
    return "set" if text.str.contains("|", literal=True).any() else "category"


def _are_codes(column: pl.Series) -> bool:
    values = column.drop_nulls().cast(pl.Float64)
    different = values.unique()
    few = len(different) <= min(FEW, len(values) / 2)
    return bool(few and different.is_finite().all() and (different == different.floor()).all())


def _learn(column: pl.Series, kind: Kind, period: float, width: float) -> Key:
    name = column.name
    if kind == "number":
        key, different = _learn_number(name, numbers(column), width), column.n_unique()
        return replace(key, exact=len(column) >= RECURRING * different)
    if kind == "cycle":
        period = DAY if isinstance(column.dtype, pl.Time) else period
        if not period > 0:
            raise InputError(f"periods has {name!r}: {period}; expected the period of that cycle")
        return Key(name, kind, 1, width=period / CYCLE_CELLS, period=period)
    if kind == "path":
        depths = components(texts(column)).list.len()
        usual = int(depths.quantile(USUAL_DEPTH, "nearest") or 0)
        return Key(name, kind, 1, depth=min(max(1, usual), MOST_DEPTH))
    return Key(name, kind, 1)


def _learn_number(name: str, values: NDArray[np.float64], width: float) -> Key:
    values = values[np.isfinite(values)]
    if not len(values):
        raise InputError(f"key {name!r} holds no finite number; expected some")
    low, high = np.quantile(values, (0.25, 0.75))
    log = bool(values.min() >= 0 and 1 + high > SKEW * (1 + low))
    if log:
        values = np.log1p(values)
    low, center, high = np.quantile(values, (0.25, 0.5, 0.75))
    scale = high - low or np.abs(values - center).mean() or 1.0
    center, scale = float(center), float(scale)
    return Key(name, "number", 1, center=center, scale=scale, width=width, log=log)
