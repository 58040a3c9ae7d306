"""Brain-inspired plasticity for PyTorch."""

from importlib import import_module

TYPE_CHECKING = False  # as in typing, whose import is slow for one in which a stop can't be handled
if TYPE_CHECKING:
    from plastorch.hebbian import (
        SoftHebbClassifier,
        SoftHebbConv2d,
        SoftHebbLinear,
        SoftHebbNet,
        Triangle,
    )
    from plastorch.stp import STPN, STPNCell

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
    """Imports a name's room when it is asked for: torch takes a second, scikit-learn another."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    room = import_module("plastorch.stp" if name.startswith("STPN") else "plastorch.hebbian")
    return getattr(room, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
