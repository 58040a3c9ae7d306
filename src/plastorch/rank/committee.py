"""Networks that answer together: their log-probabilities are averaged at each step."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from plastorch.rank.model import RankCoder


class Committee(nn.Module):
    """Core whose outputs are the log of the geometric mean of networks' class probabilities.

    Where the networks differ, the arithmetic mean is less confident than each of them, so it would
    cross thresholds later that were chosen for single networks.

    Args:
        networks: networks with C > 1 outputs; only their cores and readouts are used.

    Example:
        >>> members = [RankCoder(nn.GRU(3, 8), nn.Linear(8, 2)) for _ in range(3)]
        >>> together = RankCoder(Committee(members), nn.Identity())
        >>> together(torch.randn(9, 4, 3)).logits.exp().sum(dim=1).round()
        tensor([1., 1., 1., 1.], grad_fn=<RoundBackward0>)
    """

    def __init__(self, networks: Sequence[RankCoder]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, tuple[Any, ...]]:
        """Returns log-probabilities [T, B, C] of series [T, B, I], and each network's state."""
        logs, states = [], []
        for place, network in enumerate(self.networks):
            assert isinstance(network, RankCoder)
            before = None if state is None else _turned(network, state[place])
            activity, after = network._run(x, before)
            logs.append(network.readout(activity).log_softmax(dim=-1))
            states.append(_turned(network, after))
        return torch.stack(logs).mean(dim=0).log_softmax(dim=-1), tuple(states)


def _turned(network: RankCoder, state: Any) -> Any:
    """Swaps the first two dimensions of states of torch's networks: samples come first, or back."""
    if not network._is_torchs:
        return state
    if isinstance(state, Tensor):
        return state.transpose(0, 1).contiguous()
    return tuple(part.transpose(0, 1).contiguous() for part in state)
