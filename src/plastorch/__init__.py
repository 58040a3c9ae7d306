"""Brain-inspired plasticity for PyTorch."""

from plastorch.hebbian import (
    SoftHebbConv2d,
    SoftHebbLinear,
    SoftHebbNet,
    Triangle,
)

__all__ = ["SoftHebbConv2d", "SoftHebbLinear", "SoftHebbNet", "Triangle"]
