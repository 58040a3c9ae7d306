"""Brain-inspired plasticity for PyTorch."""

from importlib import import_module

TYPE_CHECKING = False  # not from typing: its import is slow, and Ctrl-C can't be handled yet
if TYPE_CHECKING:
    from plastorch import data as data
    from plastorch import efference as efference
    from plastorch import files as files
    from plastorch import hebbian as hebbian
    from plastorch import learning as learning
    from plastorch import rank as rank
    from plastorch import rl as rl
    from plastorch import spiking as spiking
    from plastorch import stp as stp
    from plastorch.files import FileClassifier
    from plastorch.hebbian import (
        SoftHebbClassifier,
        SoftHebbConv2d,
        SoftHebbLinear,
        SoftHebbNet,
        Triangle,
    )
    from plastorch.learning import learn, set_gradients
    from plastorch.rank import RankClassifier, RankCoder
    from plastorch.spiking import FatiguingNeuron, ShortTermWTA, STDPLayer
    from plastorch.stp import STPN, STPNCell

    __version__: str

__all__ = [
    "STPN",
    "FatiguingNeuron",
    "FileClassifier",
    "RankClassifier",
    "RankCoder",
    "STDPLayer",
    "STPNCell",
    "ShortTermWTA",
    "SoftHebbClassifier",
    "SoftHebbConv2d",
    "SoftHebbLinear",
    "SoftHebbNet",
    "Triangle",
    "learn",
    "set_gradients",
]
_ROOMS = ["data", "efference", "files", "hebbian", "learning", "rank", "rl", "spiking", "stp"]
_LAZY = {
    "FatiguingNeuron": "spiking",
    "FileClassifier": "files",
    "RankClassifier": "rank",
    "RankCoder": "rank",
    "STDPLayer": "spiking",
    "STPN": "stp",
    "STPNCell": "stp",
    "ShortTermWTA": "spiking",
    "SoftHebbClassifier": "hebbian",
    "SoftHebbConv2d": "hebbian",
    "SoftHebbLinear": "hebbian",
    "SoftHebbNet": "hebbian",
    "Triangle": "hebbian",
    "learn": "learning",
    "set_gradients": "learning",
}

if not TYPE_CHECKING:  # type checkers would accept any name here

    def __getattr__(name: str) -> object:
        """Imports names only on access: torch takes a second, scikit-learn another."""
        if name == "__version__":
            return import_module("importlib.metadata").version(__name__)
        if name in _ROOMS:
            return import_module(f"{__name__}.{name}")
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    """Returns the public names."""
    return [*__all__, *_ROOMS, "__version__"]
