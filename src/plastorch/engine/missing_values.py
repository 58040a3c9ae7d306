"""What counts as a missing value in Python's, numpy's and pandas' objects."""

from typing import Any

import numpy as np

_OF_PANDAS = ("NAType", "NaTType")
"""Types of pandas' missing values, by name: pandas may not be installed."""


def is_missing(value: Any) -> bool:
    """Returns whether a value is None, NaN, or NaT or NA of pandas."""
    if isinstance(value, (float, np.floating, np.datetime64, np.timedelta64)):
        return bool(value != value)
    return value is None or type(value).__name__ in _OF_PANDAS
