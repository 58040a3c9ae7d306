"""Agents for any environment: an encoder, a recurrent core, and two linear readouts.

Paper: Garcia Rodriguez et al., ICML 2022, arXiv 2206.14048, agents for Pong and the pendulum.
"""

from typing import Any

import torch
from torch import Tensor, nn

from plastorch.rl.a2c import ActorCritic

GRAY = 128.0
"""Brightness that maps to 0, and the distance from it that maps to 1."""
FEATURES = 2592
"""Number of features that :class:`FrameEncoder` makes of a frame of 84 x 84 pixels."""


class Agent(ActorCritic):
    """Encoder and core with two linear readouts: policy parameters and state value.

    Args:
        encoder: module from observations [N, ...] to features [N, I].
        core: module from [T, B, I] and a state to activities [T, B, H] and the next state, or None
            if it has none; its ``energy`` takes the same arguments.
        hidden_size: size of the activities H.
        outputs: number of policy parameters per action, A.

    Example:
        >>> agent = Agent(nn.Identity(), nn.RNN(4, 8), 8, 2)
        >>> policy, values, state = agent(torch.randn(3, 5, 4))
        >>> policy.shape, values.shape
        (torch.Size([3, 5, 2]), torch.Size([3, 5]))
    """

    def __init__(self, encoder: nn.Module, core: nn.Module, hidden_size: int, outputs: int) -> None:
        super().__init__(core, hidden_size, outputs)
        self.encoder = encoder

    def encode(self, observations: Tensor) -> Tensor:
        """Returns features [T, B, I] of observations [T, B, ...]."""
        features: Tensor = self.encoder(observations.flatten(0, 1))
        return features.view(*observations.shape[:2], -1)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Tensor, Any]:
        """Returns policy parameters [T, B, A], values [T, B], and the next state."""
        return super().forward(self.encode(x), state)

    @torch.no_grad()
    def energy(self, observations: Tensor, state: Any = None) -> Tensor:
        """Returns the energy of the core's synapses at each step [T, B], summed over neurons."""
        energy: Tensor = self.core.energy(self.encode(observations), state)  # type: ignore[operator]
        return energy.sum(-1)


class FrameEncoder(nn.Module):
    """Two convolutions from byte frames [N, 84, 84] to features [N, 2592].

    16 filters of 8 x 8 with stride 4, then 32 of 4 x 4 with stride 2, each with ReLU; the input is
    (brightness - 128) / 128.

    Example:
        >>> FrameEncoder()(torch.zeros(5, 84, 84, dtype=torch.uint8)).shape
        torch.Size([5, 2592])
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 8, stride=4),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2),
            nn.ReLU(),
            nn.Flatten(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Returns features [N, 2592] of frames [N, 84, 84]."""
        scaled = (x.unsqueeze(1).float() - GRAY) / GRAY
        features: Tensor = self.layers(scaled)
        return features
