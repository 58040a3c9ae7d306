"""Recurrent network for pixels that each fire once, with or without convolutions."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from plastorch.engine.streams import made_with


class PictureState(NamedTuple):
    """State of B pictures."""

    hidden: Tensor
    """Output of the LSTM [B, H]."""
    cell: Tensor
    """Cell state of the LSTM [B, H]."""
    step: Tensor
    """Number of steps so far, int64 [B]."""


class PictureLSTM(nn.Module):
    """LSTM that sees, step by step, which pixels of a picture fire.

    The input is the same at every step: the firing time of each pixel. Repeat it T times as a view,
    ``when.expand(T, B, pixels)``, which takes no memory. Frames of steps that a
    :class:`plastorch.rank.RankCoder` skips are never made.

    Args:
        front: module from frames [N, pixels] of 0 and 1 to features [N, F]; None uses the frames.
            It should process each frame separately: its output for one frame must not depend on
            which other samples have not answered yet.
        lasting: show all pixels that have fired so far, as if held by neurons without leak;
            otherwise only those that fire at the current step.
        generator: random generator of the LSTM's initial weights; torch's global one if None.
        device: device of the LSTM's weights.
        dtype: type of the LSTM's weights.
    """

    def __init__(
        self,
        pixels: int,
        hidden_size: int,
        *,
        front: nn.Module | None = None,
        features: int | None = None,
        lasting: bool = False,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.lasting = lasting
        self.front = nn.Identity() if front is None else front
        with made_with(generator, device, dtype):
            self.lstm = nn.LSTM(features or pixels, hidden_size)
        self.input_size, self.hidden_size = pixels, hidden_size

    def forward(
        self, when: Tensor, state: PictureState | None = None
    ) -> tuple[Tensor, PictureState]:
        """Returns activities [T, B, H] and the next state; firing times: uint8 [T, B, pixels]."""
        steps, batch = when.shape[:2]
        if state is None:
            zeros = next(self.lstm.parameters()).new_zeros(batch, self.hidden_size)
            state = PictureState(zeros, zeros, zeros.new_zeros(batch, dtype=torch.int64))
        passed = torch.arange(steps, device=when.device)
        step = (state.step + passed[:, None])[..., None]
        frames = (when <= step if self.lasting else when == step).to(state.hidden.dtype)
        features = self.front(frames.flatten(0, 1)).unflatten(0, (steps, batch))
        activity, (hidden, cell) = self.lstm(features, (state.hidden[None], state.cell[None]))
        return activity, PictureState(hidden[0], cell[0], state.step + steps)


def convolutions(side: int, channels: Sequence[int], dropout: float) -> tuple[nn.Module, int]:
    """Returns a front of 3 x 3 convolutions, 2 x 2 max pooling, GroupNorm and ReLU, and its size F.

    It maps frames [N, side²] to features [N, F] and normalizes each frame separately (GroupNorm
    with one group). Batch statistics would mix frames of different steps and change whenever a
    sample answers.
    """
    layers: list[nn.Module] = [nn.Unflatten(1, (1, side, side))]
    for before, after in pairwise((1, *channels)):
        # Pooling first leaves a quarter of the values to normalize.
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.MaxPool2d(2)]
        layers += [nn.GroupNorm(1, after), nn.ReLU()]
        side //= 2
    # On CPUs, convolutions with few channels are fastest in this layout.
    front = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return nn.Sequential(front, nn.Flatten(), nn.Dropout(dropout)), channels[-1] * side**2
