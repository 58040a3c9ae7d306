"""Brain-inspired plasticity for PyTorch."""

from typing import TYPE_CHECKING

from plastorch.hebbian import (
    SoftHebbConv2d,
    SoftHebbLinear,
    SoftHebbNet,
    Triangle,
)
from plastorch.stp import STPN, STPNCell

if TYPE_CHECKING:
    from plastorch.hebbian import SoftHebbClassifier

__all__ = [
    "STPN",
    "STPNCell",
    "SoftHebbClassifier",
    "SoftHebbConv2d",
    "SoftHebbLinear",
    "SoftHebbNet",
    "Triangle",
]


def __getattr__(name: str) -> object:
    """Imports the estimator when it is asked for: scikit-learn takes most of a second."""
    if name == "SoftHebbClassifier":
        from plastorch.hebbian import SoftHebbClassifier

        return SoftHebbClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
