"""What is learned of each key of records: its kind, its statistics, its share of the neurons."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from plastorch.engine.errors import InputError, check_positive
from plastorch.files.as_frame import as_frame
from plastorch.files.column_values import FARTHEST, components, numbers, texts
from plastorch.files.neuron_allocation import apportion, key_shares

Kind = Literal["category", "number", "cycle", "set", "path"]
KINDS: tuple[str, ...] = get_args(Kind)

CALENDAR: Mapping[str, float] = {"hour": 24, "weekday": 7, "month": 12}
"""Periods of keys that are cycles by their names."""
FEW = 10
"""A key of whole numbers with so many different ones is a category."""
DAY = 86400.0
"""Seconds."""
CYCLE_CELLS = 4
"""A cycle's width is this part of its period."""
SKEW = 10
"""Numbers whose upper quartile is so many times the lower one, both plus 1, are taken as logs."""
USUAL_DEPTH = 0.9
"""Share of the paths that are no deeper than what counts of them."""
MOST_DEPTH = 32
"""Components of a path that count at most: each costs another look at all records."""


@dataclass(frozen=True)
class Key:
    """A key of records, and all that is learned of it from the training records.

    Args:
        name: of the key.
        kind: how two values are compared; see :func:`plastorch.files.similarity.similarity`.
        neurons: n_m, how many input neurons it has.
        center: of a number, the training median (of its logarithm, if ``log``).
        scale: of a number, the distance of its training quartiles.
        width: at which two values have nothing in common any more: of a number, times its scale; of
            a cycle, a whole part of its period, at most half of it.
        log: whether log(1 + v) takes a number's place; what is below 0 counts as 0.
        period: of a cycle.
        depth: of a path, how many of its components count, and of a whole path all.

    Raises:
        InputError: if a figure is out of its range.

    Example:
        >>> from dataclasses import asdict
        >>> key = Key("hour", "cycle", 20, period=24, width=6)
        >>> Key(**asdict(key)) == key, key.cells
        (True, 4)
    """

    name: str
    kind: Kind
    neurons: int
    center: float = 0.0
    scale: float = 1.0
    width: float = 1.0
    log: bool = False
    period: float = 0.0
    depth: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"kind is {self.kind!r}; expected one of {', '.join(KINDS)}")
        for name in ("neurons", "depth"):
            if type(getattr(self, name)) is not int:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected a whole number")
        for name in ("center", "scale", "width", "period"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not isfinite(value):
                raise InputError(f"{name} is {value!r}; expected a finite number")
        check_positive(neurons=self.neurons, scale=self.scale, width=self.width)
        if self.kind == "path":
            check_positive(depth=self.depth)
        if self.kind == "cycle":
            check_positive(period=self.period)
            if not self.period / self.width < FARTHEST:
                raise InputError(
                    f"width is {self.width}; expected a part of {self.period}, not so small"
                )
            if self.cells < 2 or abs(self.cells * self.width - self.period) > 1e-9 * self.period:
                raise InputError(
                    f"width is {self.width}; expected a half, third, … of the period {self.period}"
                )

    @property
    def cells(self) -> int:
        """How many widths a cycle's period is; 0 of other kinds."""
        return round(self.period / self.width) if self.kind == "cycle" else 0


def infer_keys(
    records: Any,
    labels: ArrayLike | None = None,
    neurons: int = 400,
    kinds: Mapping[str, Kind] | None = None,
    periods: Mapping[str, float] = CALENDAR,
    width: float = 1.0,
) -> tuple[Key, ...]:
    """Learns the keys of training records.

    A column is

    - a cycle if it is numeric and has a period, or holds times of the day;
    - a number if it holds numbers, dates, times or durations. Only where at most ten different
      values are there, all whole and each on average in two records or more, are they codes;
    - a set if it holds lists, or if "|" is in one of its texts, which joins the elements;
    - a path if "/" is in at least half of its texts;
    - a category in all other cases: text, truth values, codes.

    A key that has the same value in every record, or is missing in every one, tells nothing and is
    dropped; one that is sometimes missing and otherwise the same is kept. A number has its median
    and quartiles as centre and scale. Where the quartiles are equal, the mean distance to the
    median is the scale. Numbers of which none is negative and whose quartiles differ by a factor of
    more than ten are taken as logarithms. Of paths as many components count as 90 % of them have at
    most, and 32 at most.

    Args:
        records: for training only; see :func:`plastorch.files.as_frame.as_frame`.
        labels: classes [B]. With them, a key's share of the neurons is proportional to the mutual
            information of its values and the classes, 2 % at least; else shares are equal.
        neurons: N, of all keys together; at least one per key.
        kinds: of keys whose values would be taken for another kind.
        periods: of numeric keys that are cycles. Their width is a quarter of the period.
        width: of numbers, in scales.

    Returns:
        The keys that tell something, in the order of the columns; their neurons sum to N.

    Raises:
        InputError: if no key tells anything, there are fewer neurons than keys, labels are missing
            or too few, or ``kinds`` names a key that is not there or can't be of that kind.

    Example:
        >>> rows = [{"owner": "ada", "bytes": 2**i, "path": f"/home/{i}"} for i in range(20)]
        >>> [(key.name, key.kind, key.neurons) for key in infer_keys(rows)]
        [('bytes', 'number', 200), ('path', 'path', 200)]
    """
    frame, kinds = as_frame(records), kinds or {}
    check_positive(width=width)
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
    keys = []
    for column in telling:
        name = column.name
        kind = kinds.get(name) or _kind(column, name in periods)
        keys.append(_learn(column, kind, periods.get(name, 0), width))
    shares = key_shares(frame, keys, labels, 1 / neurons)
    counts = apportion(shares, neurons)
    return tuple(replace(key, neurons=n) for key, n in zip(keys, counts, strict=True))


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
    """The key of a column, with one neuron."""
    name = column.name
    if kind == "number":
        return _learn_number(name, numbers(column), width)
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
        raise InputError(f"key {name!r} holds no number; expected some")
    low, high = np.quantile(values, (0.25, 0.75))
    log = bool(values.min() >= 0 and 1 + high > SKEW * (1 + low))
    if log:
        values = np.log1p(values)
    low, center, high = np.quantile(values, (0.25, 0.5, 0.75))
    scale = high - low or np.abs(values - center).mean() or 1.0
    return Key(name, "number", 1, float(center), float(scale), width, log)
