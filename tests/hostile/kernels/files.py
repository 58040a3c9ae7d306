"""Records as spike times, and equal rows."""

from typing import Any

import numpy as np
import polars as pl
from kernel_fuzz import Hostile

from plastorch.files.distinct import distinct as distinct_rows
from plastorch.files.encode import CorrelativeEncoder
from plastorch.files.key import Key

VALUES = [None, "", "/", "a", "a/b//c/", "|", "a||b|a", "\0", "\ud7ff" * 40, "é/ü|ß", "1e400", "-7"]
NUMBERS = [None, float("nan"), float("inf"), -float("inf"), 1e300, -1e300, 5e-324, 0.0, 23.9999999]


def encode(hostile: Hostile) -> Any:
    figures = {"neurons": 5, "center": 0.0, "scale": 1.0, "width": 6.0, "period": 24.0, "depth": 3}
    given = {kind: dict(figures) for kind in ("category", "number", "cycle", "set", "path")}
    given, bins, seed = hostile.damaged((given, 20, 7))
    sizes = [figures["neurons"] for figures in given.values()]
    if max(size for size in sizes if isinstance(size, int)) > 10**6:  # only slow
        return None
    keys = tuple(Key(name, name, **figures) for name, figures in given.items())  # type: ignore
    rows = hostile.random.randrange(5)
    texts, numbers = (
        {name: hostile.random.choices(values, k=rows) for name in names}
        for names, values in ((("category", "set", "path"), VALUES), (("number", "cycle"), NUMBERS))
    )
    frame = pl.DataFrame(texts | numbers, schema_overrides={name: pl.Float64 for name in numbers})
    found = CorrelativeEncoder(keys, bins, seed).encode(frame)
    assert ((found < bins) | (found == 255)).all()
    return found


def distinct(hostile: Hostile) -> Any:
    rows = np.random.default_rng(0).integers(0, 3, (20, 2)).astype(np.int64)
    rows = hostile.damaged(rows)
    if hostile.random.random() < 0.5 and rows.dtype == np.int64:
        rows = rows.view(np.uint64)
    codes, firsts = distinct_rows(rows)
    assert (rows[firsts][codes] == rows).all()
    return codes, firsts
