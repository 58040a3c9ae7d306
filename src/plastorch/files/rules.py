"""Keys and values that favor a class: how much the log-odds rise if a record has the value.

Partial dependence, centered: Friedman, *Greedy function approximation*, Annals of Statistics 29
(2001), section 8.2.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plastorch.engine.errors import InputError, check_positive
from plastorch.files.as_frame import as_frame
from plastorch.files.column_values import keyed, numbers, texts
from plastorch.files.key import Key

if TYPE_CHECKING:
    from plastorch.files.trained import TrainedClassifier

RECORDS = 100
"""Number of records, drawn at random, that are given each value."""
VALUES = 50
"""Largest number of values of a key: the most frequent ones."""
FEWEST = 5
"""Smallest number of records that a value must have to count."""
LEVELS = 5
"""Number of equal parts of a key of numbers; the middle one of each is its value."""
SMALLEST = 1e-6
"""Smallest probability that counts, for the class or against it."""


def rules(model: "TrainedClassifier", records: Any, top: int = 5) -> pl.DataFrame:
    """Lists the keys and values that most favor each class.

    A value's weight for a class is the change of log-odds, ln p / (1 - p), when records are given
    that value in place of their own: the mean over 100 records drawn at random, the same for all
    values. So it is the value's average effect with the other keys unchanged, not how often class
    and value occur together in the records. Probabilities are clipped to 1e-6 to 1 - 1e-6.

    Values are the 50 most frequent ones of each key, each in five records or more; for numbers
    whose exact values don't count, the middles of five equal parts of the records. Missing counts
    as a value, too.

    Args:
        model: fitted classifier.
        records: typical records, as for :meth:`plastorch.files.FileClassifier.predict`.
        top: largest number of values per class.

    Returns:
        Frame with the columns ``class`` (as text), ``key``, ``value`` (as text; null for missing),
        ``log_odds`` (natural logarithm, above 0) and ``records`` (how many have the value), in
        the order of ``model.classes_``, largest log-odds first.

    Raises:
        InputError: the records are unusable, have none of the keys, or share no values.

    Example:
        >>> from plastorch.files import FileClassifier
        >>> rows = [{"owner": name, "size": size} for name in ("ada", "bob") for size in range(20)]
        >>> model = FileClassifier(hidden=16, neurons=40).fit(rows, ["code"] * 20 + ["music"] * 20)
        >>> rules(model, rows, top=1).select("class", "key", "value", "records").rows()
        [('code', 'owner', 'ada', 20), ('music', 'owner', 'bob', 20)]
    """
    check_positive(top=top)
    present = set(as_frame(records).columns)
    frame = keyed(records, model.keys_)
    some = np.random.default_rng(0).permutation(frame.height)[:RECORDS]
    sample = frame[np.sort(some)]
    usual = _log_odds(model, sample).mean(0)
    names = pl.Series("class", [str(name) for name in model.classes_.tolist()])
    found = []
    for key in model.keys_:
        values, told = _values(key, frame[key.name])
        if key.name in present and values:
            changes = np.stack([_given(model, sample, value) for value in values]) - usual
            every = told.join(names.to_frame().with_row_index("place"), how="cross")
            found.append(every.with_columns(log_odds=pl.Series(changes.ravel())))
    if not found:
        raise InputError(f"records share no value in {FEWEST} of them; expected typical records")
    best = pl.concat(found).filter(pl.col("log_odds") > 0)
    best = best.sort("place", "log_odds", "key", descending=[False, True, False])
    best = best.group_by("place", maintain_order=True).head(top)
    return best.select("class", "key", "value", "log_odds", "records")


def _given(
    model: "TrainedClassifier", sample: pl.DataFrame, value: pl.Series
) -> NDArray[np.float64]:
    """Returns the mean log-odds [C] of records that are all given one value."""
    whole = value.gather(np.zeros(sample.height, np.int64))
    mean: NDArray[np.float64] = _log_odds(model, sample.with_columns(whole)).mean(0)
    return mean


def _log_odds(model: "TrainedClassifier", frame: pl.DataFrame) -> NDArray[np.float64]:
    chances = model.predict_proba(frame).astype(np.float64).clip(SMALLEST, 1 - SMALLEST)
    odds: NDArray[np.float64] = np.log(chances / (1 - chances))
    return odds


def _values(key: Key, column: pl.Series) -> tuple[list[pl.Series], pl.DataFrame]:
    """Returns a key's values, one row each, and a frame of ``key``, ``value``, ``records``."""
    if key.kind in ("number", "cycle") and not key.exact:
        rows = [(place, count) for place, count in _levels(numbers(column))]
    else:
        text = texts(column)
        counted = text.to_frame("value").with_row_index("row").drop_nulls("value")
        counted = counted.group_by("value").agg(pl.col("row").min(), count=pl.len())
        counted = (
            counted.filter(pl.col("count") >= FEWEST)
            .sort("count", "row", descending=[True, False])
            .head(VALUES)
        )
        rows = counted.select("row", "count").rows()
    if (lacking := column.null_count()) >= FEWEST:
        rows.append((int(column.is_null().arg_max() or 0), lacking))
    values = [column[place : place + 1] for place, _ in rows]
    told = pl.DataFrame(
        {
            "key": [key.name] * len(rows),
            "value": pl.Series(map(_text, values), dtype=pl.String),
            "records": pl.Series([count for _, count in rows], dtype=pl.Int64),
        },
        schema_overrides={"key": pl.String},
    )
    return values, told


def _levels(values: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Yields the middle record of each part, and the part's size; equal middles are one part."""
    order = np.argsort(values, kind="stable")
    order = order[np.isfinite(values[order])]
    parts = [part for part in np.array_split(order, LEVELS) if len(part)]
    middles = [int(part[len(part) // 2]) for part in parts]
    _, first, which = np.unique(values[middles], return_index=True, return_inverse=True)
    for place, index in enumerate(first):
        sizes = (len(part) for part, of in zip(parts, which, strict=True) if of == place)
        yield middles[index], sum(sizes)


def _text(value: pl.Series) -> str | None:
    if value.dtype.is_float() and value[0] is not None:
        return f"{value[0]:.4g}"
    text: str | None = texts(value)[0]
    return text
