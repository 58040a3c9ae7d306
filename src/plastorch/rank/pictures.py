"""A recurrent network that sees pixels fire, each once, directly or through convolutions."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn


class PictureState(NamedTuple):
    """Of B pictures."""

    hidden: Tensor
    """The LSTM's output [B, H]."""
    cell: Tensor
    """What it remembers [B, H]."""
    step: Tensor
    """Steps that it has seen, uint8 [B]."""


class PictureLSTM(nn.Module):
    """An LSTM that is shown, step by step, which pixels of a picture fire.

    Its input is the same at every step: when each pixel fires. A view of the picture that repeats
    it T times, ``when.expand(T, B, pixels)``, takes no memory, and frames of steps that a
    :class:`plastorch.rank.RankCoder` never computes are never made.

    Args:
        pixels: of a picture.
        hidden_size: H.
        front: from frames [N, pixels] of 0 and 1 to features [N, F]; the frames themselves if None.
            It should treat each frame by itself: what it makes of one must not depend on which
            others are still waiting for their answers.
        features: F; the pixels if there is no front.
        lasting: whether a frame shows all pixels that have fired so far, as if a neuron without
            leak held each; if not, those that fire at its step.

    Example:
        >>> lstm = PictureLSTM(4, 8)
        >>> when = torch.tensor([[0, 0, 2, 1]], dtype=torch.uint8)
        >>> activity, state = lstm(when.expand(3, 1, 4))
        >>> activity.shape, state.step
        (torch.Size([3, 1, 8]), tensor([3], dtype=torch.uint8))
    """

    def __init__(
        self,
        pixels: int,
        hidden_size: int,
        front: nn.Module | None = None,
        features: int | None = None,
        lasting: bool = False,
    ) -> None:
        super().__init__()
        self.lasting = lasting
        self.front = nn.Identity() if front is None else front
        self.lstm = nn.LSTM(features or pixels, hidden_size)
        self.input_size, self.hidden_size = pixels, hidden_size

    def forward(
        self, when: Tensor, state: PictureState | None = None
    ) -> tuple[Tensor, PictureState]:
        """Activities and the state after them.

        Args:
            when: the step at which each pixel fires, uint8 [T, B, pixels].
            state: from the steps before; None at the start.

        Returns:
            [T, B, H] and the state.
        """
        steps, batch = when.shape[:2]
        if state is None:
            zeros = next(self.lstm.parameters()).new_zeros(batch, self.hidden_size)
            state = PictureState(zeros, zeros, when.new_zeros(batch))
        passed = torch.arange(steps, dtype=when.dtype, device=when.device)
        step = (state.step + passed[:, None])[..., None]
        frames = (when <= step if self.lasting else when == step).to(state.hidden.dtype)
        features = self.front(frames.flatten(0, 1)).unflatten(0, (steps, batch))
        activity, (hidden, cell) = self.lstm(features, (state.hidden[None], state.cell[None]))
        return activity, PictureState(hidden[0], cell[0], state.step + steps)


def convolutions(side: int, channels: Sequence[int], dropout: float) -> tuple[nn.Module, int]:
    """A front of convolutions: 3 x 3, the largest of 2 x 2, normalised, rectified, for each layer.

    Each frame is normalised by itself (GroupNorm of one group). The statistics of a batch would mix
    frames of different steps, and change with every sample that has its answer.

    Args:
        side: of the square pictures, in pixels.
        channels: of each layer.
        dropout: share of features that are left out in training.

    Returns:
        A module from frames [N, side²] to features [N, F], and F.

    Example:
        >>> front, features = convolutions(28, (16, 32, 64), 0.25)
        >>> features, front(torch.zeros(5, 784)).shape
        (576, torch.Size([5, 576]))
    """
    layers: list[nn.Module] = [nn.Unflatten(1, (1, side, side))]
    for before, after in pairwise((1, *channels)):
        # Pooled first, there is a quarter to be normalised and rectified.
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.MaxPool2d(2)]
        layers += [nn.GroupNorm(1, after), nn.ReLU()]
        side //= 2
    # The layout in which convolutions with few channels are fastest on CPUs.
    front = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return nn.Sequential(front, nn.Flatten(), nn.Dropout(dropout)), channels[-1] * side**2
