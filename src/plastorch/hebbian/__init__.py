"""SoftHebb: layers and deep networks that learn without labels, feedback or error signals.

Papers: Moraitis et al. 2022, arXiv 2107.05747 (shallow); Journé et al., arXiv 2209.11883 (deep).
"""

from typing import TYPE_CHECKING

from plastorch.hebbian.layers import HebbianStep, SoftHebbConv2d, SoftHebbLinear, Triangle
from plastorch.hebbian.networks import SoftHebbNet
from plastorch.hebbian.optim import set_gradients
from plastorch.hebbian.presets import preset
from plastorch.hebbian.spec import BlockSpec, NetworkSpec, Pool
from plastorch.hebbian.train import HebbianTraining

if TYPE_CHECKING:
    from plastorch.hebbian.estimator import SoftHebbClassifier

__all__ = [
    "BlockSpec",
    "HebbianStep",
    "HebbianTraining",
    "NetworkSpec",
    "Pool",
    "SoftHebbClassifier",
    "SoftHebbConv2d",
    "SoftHebbLinear",
    "SoftHebbNet",
    "Triangle",
    "preset",
    "set_gradients",
]


def __getattr__(name: str) -> object:
    """Imports the estimator when it is asked for: scikit-learn takes most of a second."""
    if name == "SoftHebbClassifier":
        from plastorch.hebbian.estimator import SoftHebbClassifier

        return SoftHebbClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, the estimator included."""
    return __all__
