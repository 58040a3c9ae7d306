"""Linear attention: a matrix that sums products of keys and values, and is read by queries.

All memories of this file and of :mod:`plastorch.stp.baselines.delta_net` are of the form
``S_t = D_t S_(t-1) + k_t u_t'; o_t = S_t' q_t``, and are computed for all steps at once.

Papers: Katharopoulos et al., *Transformers are RNNs*, ICML 2020, arXiv 2006.16236; Yang et al.,
*Gated Linear Attention Transformers with Hardware-Efficient Training*, ICML 2024, arXiv 2312.06635.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.streams import made_with

CHUNK = 16
"""Number of steps per chunk if each key dimension has its own decay: memory grows as its square."""
GATE_RANK, GATE_TEMPERATURE = 16, 16.0
"""Rank of the projection to the decay, and τ."""


EPSILON = 1e-6
"""Constant added to the sum of weights, which float32 can round to 0."""


class LinearState(NamedTuple):
    """State that linear attention carries from step to step."""

    S: Tensor
    """Sum of products of keys and values [B, K, V]."""
    z: Tensor
    """Sum of keys [B, K]."""


def decayed(decay_sums: Tensor) -> Tensor:
    """Computes exp(c_t - c_s) for s <= t, else 0, from sums c of log decays [B, T]: [B, T, T]."""
    steps = decay_sums.shape[-1]
    past = torch.ones(steps, steps, dtype=torch.bool, device=decay_sums.device).tril()
    differences = decay_sums.unsqueeze(-1) - decay_sums.unsqueeze(-2)
    return differences.masked_fill(~past, -torch.inf).exp()


def gated_chunk(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, memory: Tensor
) -> tuple[Tensor, Tensor]:
    """Computes S_t = diag(α_t) S_(t-1) + k_t v_t' and o_t = S_t' q_t of some steps.

    Paper: Yang et al. 2024, equations of the chunkwise form. Takes q, k and log α [B, C, K],
    v [B, C, V] and S [B, K, V]; returns o [B, C, V] and S.
    """
    sums = log_decay.cumsum(1)
    between = decayed(sums.mT).movedim(1, -1)  # [B, C, C, K]
    scores = torch.einsum("btk,bsk,btsk->bts", q, k, between)
    output = scores @ v + (q * sums.exp()) @ memory
    left = (sums[:, -1:] - sums).exp()
    memory = sums[:, -1].exp().unsqueeze(-1) * memory + (k * left).mT @ v
    return output, memory


class LinearAttention(nn.Module):
    """Causal linear attention of one head.

    S_t = S_(t-1) + φ(k_t) v_t'; z_t = z_(t-1) + φ(k_t); o_t = S_t' φ(q_t) / z_t' φ(q_t).

    φ(x) = elu(x) + 1; Katharopoulos et al. 2020, equations 16 to 20.
    """

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

    def forward(self, x: Tensor, state: LinearState | None = None) -> tuple[Tensor, LinearState]:
        """Returns activities [T, B, H] and the last state for sequences [T, B, I]."""
        q, k, v = self.qkv(x.transpose(0, 1)).chunk(3, dim=-1)
        q, k = F.elu(q) + 1, F.elu(k) + 1
        ones = torch.ones_like(v[..., :1])
        # The sum of keys is computed by one more value of 1 in each step.
        v = torch.cat([v, ones], dim=-1)
        before = v.new_zeros(v.shape[0], k.shape[-1], v.shape[-1])
        if state is not None:
            before = torch.cat([state.S, state.z.unsqueeze(-1)], dim=-1)
        output = (q @ k.mT).tril() @ v + q @ before
        after = before + k.mT @ v
        output = output[..., :-1] / (output[..., -1:] + EPSILON)
        return output.transpose(0, 1), LinearState(after[..., :-1], after[..., -1])


class GatedLinearAttention(nn.Module):
    """Causal linear attention with a gate per key.

    S_t = diag(α_t) S_(t-1) + k_t v_t'; o_t = S_t' q_t / √K; y_t = norm(o_t) ⊙ swish(W x_t).

    α_t = σ(W₂ W₁ x_t + b)^(1/16) for each key dimension; Yang et al. 2024, section 4.4.
    """

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
            self.qkvg = nn.Linear(input_size, 4 * hidden_size, bias=False)
            self.decay = nn.Sequential(
                nn.Linear(input_size, GATE_RANK, bias=False), nn.Linear(GATE_RANK, hidden_size)
            )
            self.norm = nn.LayerNorm(hidden_size)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns activities [T, B, H] and the last S [B, H, H] for sequences [T, B, I]."""
        x = x.transpose(0, 1)
        q, k, v, gate = self.qkvg(x).chunk(4, dim=-1)
        q = q * self.hidden_size**-0.5
        log_decay = F.logsigmoid(self.decay(x)) / GATE_TEMPERATURE
        memory = x.new_zeros(len(x), q.shape[-1], v.shape[-1]) if state is None else state
        outputs = []
        for first in range(0, x.shape[1], CHUNK):
            q_, k_, v_, decay = (t[:, first : first + CHUNK] for t in (q, k, v, log_decay))
            output, memory = gated_chunk(q_, k_, v_, decay, memory)
            outputs.append(output)
        y = self.norm(torch.cat(outputs, dim=1)) * F.silu(gate)
        return y.transpose(0, 1), memory
