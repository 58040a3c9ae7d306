"""Cores by name, as the estimator makes them."""

import math
from typing import Any, Literal, get_args

from torch import nn

from plastorch.engine.errors import InputError
from plastorch.rank.convolutions import CausalConvolutions
from plastorch.rank.model import RankCoder

Core = Literal["convolutional", "gru", "lstm"]
"""Name of a core."""
CORES = get_args(Core)
PARTS = 8
"""About the number of parts in which series of the training's length are read to the end."""


def make_coder(
    core: Any, sizes: tuple[int, int, int], steps: int, threshold: float = 0.95
) -> RankCoder:
    """Returns a new network; ``sizes``: channels, hidden_size, classes; ``steps``: of a series."""
    channels, hidden_size, classes = sizes
    rnn = _made(core, channels, hidden_size, steps)
    if getattr(rnn, "batch_first", False):
        raise InputError(
            f"core makes {type(rnn).__name__} with batch_first=True; expected batch_first=False, "
            "for sequences [T, B, channels]"
        )
    size = getattr(rnn, "hidden_size", None)
    if not isinstance(size, int):
        raise InputError(
            f"core makes {type(rnn).__name__}, whose hidden_size is {size!r}; "
            "expected a whole number"
        )
    chunk = max(8, math.ceil(steps / PARTS))
    return RankCoder(rnn, nn.Linear(size, classes), threshold=threshold, chunk=chunk)


def _made(core: Any, channels: int, hidden_size: int, steps: int) -> nn.Module:
    if isinstance(core, nn.Module):
        raise InputError(
            f"core is a module, {type(core).__name__}; expected a function from the number of "
            "channels to a module, or a name"
        )
    if callable(core):
        made: nn.Module = core(channels)
        return made
    if core == "convolutional":
        # so many layers that the last ones see all of a series
        layers = min(max(math.ceil(math.log2(max(steps, 4) / 4)), 2), 7)
        return CausalConvolutions(channels, hidden_size, layers=layers)
    return nn.GRU(channels, hidden_size) if core == "gru" else nn.LSTM(channels, hidden_size)
