"""Places where heads read an encoder: its features, or the output of any of its blocks.

Features that encode an action exactly spend capacity on it. Reading a block before the last leaves
later blocks free to forget the action.
"""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from plastorch.efference.actions import any_on_cpu
from plastorch.efference.encoders import Encoder
from plastorch.engine.errors import InputError

OUTPUT = "output"
"""Name of an encoder's features as the place that a head reads."""
CHANNELS, GRID = 32, 4
"""Channels, and places along each side, to which a map is reduced."""


class Reader(nn.Module):
    """Reader of one place of an encoder, as a vector.

    The encoder's features stay as they are. A block's map [B, C, h, w] is projected to 32 channels
    by a convolution with batch normalization and ReLU, and averaged over a grid of 4 x 4 places: it
    stays in the frame of its view. A block's vector [B, C] counts as a map of one place.

    Args:
        encoder: encoder.
        place: name of the block, or "output".
        features: number of features D of the encoder's output.

    Example:
        >>> from plastorch.efference import small_resnet
        >>> Reader(small_resnet(8), "layer2", 32)(torch.randn(5, 16, 8, 8)).shape
        torch.Size([5, 512])
    """

    def __init__(self, encoder: nn.Module, place: str, features: int) -> None:
        super().__init__()
        self.place, self.features = place, features
        self.layers = nn.Sequential()
        if place != OUTPUT:
            self.features = CHANNELS * GRID**2
            self.layers = nn.Sequential(
                nn.Conv2d(width(encoder, place), CHANNELS, 1, bias=False),
                nn.BatchNorm2d(CHANNELS),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(GRID),
                nn.Flatten(),
            )

    def forward(self, read: Tensor) -> Tensor:
        """Returns features [B, D] of a block's output.

        Raises:
            InputError: the output is neither a map nor a vector, has other channels than the
                block's last parameters, or overflows half precision (on the CPU).
        """
        if self.place == OUTPUT:
            return read
        check_overflow(f"features of {self.place}", read)
        channels = self.layers[0].in_channels
        if read.dim() not in (2, 4) or read.shape[1] != channels:
            raise InputError(
                f"features of {self.place} have shape {tuple(read.shape)}; expected "
                f"(B, {channels}, h, w) or (B, {channels})"
            )
        found: Tensor = self.layers(read if read.dim() == 4 else read[:, :, None, None])
        return found


def shares(encoder: nn.Module, at: str | Mapping[str, float]) -> dict[str, float]:
    """Returns the weights of places, which sum to 1, of a single name or of names with weights.

    Raises:
        InputError: a block doesn't exist, or weights are negative, not finite, or all 0.
    """
    weights = {at: 1.0} if isinstance(at, str) else dict(at)
    if not all(0 <= value < math.inf for value in weights.values()) or not any(weights.values()):
        raise InputError(f"efference_at is {weights}; expected weights of 0 or more, not all 0")
    for place in weights:
        block(encoder, place)
    total = sum(weights.values())
    return {place: value / total for place, value in weights.items() if value}


def block(encoder: nn.Module, place: str) -> nn.Module:
    """Returns a block by its name in the encoder, or in the trunk of an :class:`Encoder`.

    Raises:
        InputError: there is no such block.
    """
    if place == OUTPUT:
        return encoder
    whole = encoder.trunk if isinstance(encoder, Encoder) else encoder
    parts: dict[str, nn.Module] = dict(whole.named_modules())
    if not place or place not in parts:
        names = ", ".join([OUTPUT, *(name for name, _ in whole.named_children())])
        raise InputError(f"efference_at is {place!r}; expected a block of the encoder: {names}")
    return parts[place]


def width(encoder: nn.Module, place: str) -> int:
    """Returns the channels of a block: the rows of its last parameters, or of the last before it.

    Raises:
        InputError: there are none.
    """
    target, last = block(encoder, place), None
    for module in encoder.modules():  # in order, each before its parts
        inside = target.modules() if module is target else (module,)
        for part in inside:
            own = [p for p in part.parameters(recurse=False) if p.dim()]
            last = len(own[-1]) if own else last
        if module is target:
            break
    if last is None:
        raise InputError(f"efference_at is {place!r}; expected a block with parameters before it")
    return last


def read_blocks(
    encoder: nn.Module, views: Tensor, places: Iterable[str]
) -> tuple[Tensor, list[Tensor]]:
    """Returns an encoder's output for views, and the output of each place."""
    read: dict[str, Tensor] = {}

    def keep(name: str) -> object:
        def hook(module: nn.Module, given: object, result: Tensor) -> None:
            read[name] = result

        return block(encoder, name).register_forward_hook(hook)

    hooks = [keep(name) for name in places if name != OUTPUT]
    try:
        read[OUTPUT] = encoder(views)
    finally:
        for hook in hooks:
            hook.remove()  # type: ignore[attr-defined]
    missing = [name for name in places if not isinstance(read.get(name), Tensor)]
    if missing:
        raise InputError(
            f"efference_at is {missing[0]!r}; expected a block that is used and returns a tensor"
        )
    return read[OUTPUT], [read[name] for name in places]


def check_overflow(name: str, values: Tensor) -> None:
    """Raises InputError if float16 values on the CPU are not finite."""
    if values.dtype == torch.float16 and any_on_cpu(~values.isfinite()):
        raise InputError(f"{name} overflow float16; expected bfloat16 or float32")
