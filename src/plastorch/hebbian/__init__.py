"""SoftHebb: layers and deep networks that learn without labels, feedback or error signals.

Papers: Moraitis et al. 2022, arXiv 2107.05747 (shallow); Journé et al., arXiv 2209.11883 (deep).
"""

from importlib import import_module
from typing import TYPE_CHECKING

from plastorch.hebbian.convolution import SoftHebbConv2d
from plastorch.hebbian.layers import SoftHebbLinear, Triangle
from plastorch.hebbian.networks import SoftHebbNet
from plastorch.hebbian.presets import preset
from plastorch.hebbian.spec import BlockSpec, NetworkSpec, Pool, WideSpec
from plastorch.hebbian.train import HebbianTraining
from plastorch.hebbian.whitened_training import WhitenedTraining
from plastorch.hebbian.whitening import PatchWhitening
from plastorch.hebbian.wide_training import WideTraining

if TYPE_CHECKING:
    from plastorch.hebbian.estimator import SoftHebbClassifier

__all__ = [
    "BlockSpec",
    "HebbianTraining",
    "NetworkSpec",
    "PatchWhitening",
    "Pool",
    "SoftHebbClassifier",
    "SoftHebbConv2d",
    "SoftHebbLinear",
    "SoftHebbNet",
    "Triangle",
    "WhitenedTraining",
    "WideSpec",
    "WideTraining",
    "preset",
]
_LAZY = {"SoftHebbClassifier": "estimator"}

if not TYPE_CHECKING:  # type checkers would accept any name here

    def __getattr__(name: str) -> object:
        """Imports the estimator only on access: scikit-learn takes most of a second."""
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    """Returns the public names."""
    return __all__
