"""SoftHebb: layers and deep networks that learn without labels, feedback or error signals.

Papers: Moraitis et al. 2022, arXiv 2107.05747 (shallow); Journé et al. 2023, arXiv 2209.11883 (deep).
"""

from plastorch.hebbian.layers import HebbianStep, SoftHebbConv2d, SoftHebbLinear, Triangle
from plastorch.hebbian.networks import BlockSpec, NetworkSpec, Pool, SoftHebbNet
from plastorch.hebbian.optim import set_gradients
from plastorch.hebbian.presets import preset
from plastorch.hebbian.train import HebbianTraining

__all__ = [
    "BlockSpec",
    "HebbianStep",
    "HebbianTraining",
    "NetworkSpec",
    "Pool",
    "SoftHebbConv2d",
    "SoftHebbLinear",
    "SoftHebbNet",
    "Triangle",
    "preset",
    "set_gradients",
]
