"""Softmax attention: Vaswani et al., *Attention Is All You Need*, NeurIPS 2017."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.streams import made_with


class Cache(NamedTuple):
    """Keys and values of all steps so far; this state grows with the sequence."""

    keys: Tensor
    """Keys [B, T, H]."""
    values: Tensor
    """Values [B, T, H]."""


class SoftmaxAttention(nn.Module):
    """Causal attention of one head, y_t = Σ_s softmax_s(q_t'k_s / √H) v_s, without positions."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        with made_with(generator, device, dtype):
            self.qkv = nn.Linear(input_size, 3 * hidden_size, bias=False)

    def forward(self, x: Tensor, state: Cache | None = None) -> tuple[Tensor, Cache]:
        """Returns activities [T, B, H] and keys and values so far for sequences [T, B, I]."""
        q, k, v = self.qkv(x.transpose(0, 1)).chunk(3, dim=-1)
        if state is not None:
            k, v = torch.cat([state.keys, k], dim=1), torch.cat([state.values, v], dim=1)
        steps, seen = q.shape[1], k.shape[1]
        past = torch.ones(steps, seen, dtype=torch.bool, device=x.device).tril(seen - steps)
        output = F.scaled_dot_product_attention(q, k, v, attn_mask=past)
        return output.transpose(0, 1), Cache(k, v)
