"""DeltaNet and gated DeltaNet: linear attention that replaces the value stored under a key.

Papers: Yang et al., *Parallelizing Linear Transformers with the Delta Rule over Sequence Length*,
NeurIPS 2024, arXiv 2406.06484; Yang, Kautz, Hatamizadeh, *Gated Delta Networks: Improving Mamba2
with Delta Rule*, ICLR 2025, arXiv 2412.06464.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.streams import made_with
from plastorch.stp.baselines.linear_attention import decayed


def gated_delta(
    q: Tensor, k: Tensor, v: Tensor, rate: Tensor, *, log_decay: Tensor, memory: Tensor
) -> tuple[Tensor, Tensor]:
    """Computes S_t = α_t (I - β_t k_t k_t') S_(t-1) + β_t k_t v_t' and o_t = S_t' q_t.

    Paper: Yang et al. 2025, equation 10, transposed; α = 1 is Yang et al. 2024. The change of a
    step is k_t u_t', with u_t = β_t (v_t - α_t S_(t-1)' k_t); as S_(t-1) is the decayed sum of
    earlier changes, all u solve one triangular system. Takes q and k [B, T, K], v [B, T, V], β and
    log α [B, T] and S [B, K, V]; returns o [B, T, V] and S.
    """
    sums = log_decay.cumsum(1)
    decay, of_first = decayed(sums), sums.exp().unsqueeze(-1)
    rate = rate.unsqueeze(-1)
    system = rate * (k @ k.mT) * decay  # only the part below the diagonal, which is taken as 1
    changes = torch.linalg.solve_triangular(
        system, rate * (v - of_first * (k @ memory)), upper=False, unitriangular=True
    )
    output = (q @ k.mT * decay) @ changes + of_first * (q @ memory)
    left = (sums[:, -1:] - sums).exp().unsqueeze(-1)
    return output, of_first[:, -1:] * memory + (left * k).mT @ changes


class DeltaNet(nn.Module):
    """Memory that learns by the delta rule.

    S_t = (I - β_t k_t k_t') S_(t-1) + β_t k_t v_t'; o_t = S_t' q_t; y_t = norm(o_t).

    q, k and v are swish(W x), and q and k have norm 1; β_t = σ(W x_t). Yang et al. 2024, sections 2
    and 3.3. ``gated`` adds a decay and a gate, as Yang et al. 2025 do: S_(t-1) is multiplied by
    α_t = exp(-exp(A) softplus(W x_t + b)), and y_t = norm(o_t) ⊙ swish(W x_t).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        gated: bool = False,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.hidden_size, self.gated = hidden_size, gated
        with made_with(generator, device, dtype):
            self.qkv = nn.Linear(input_size, 3 * hidden_size, bias=False)
            self.rate = nn.Linear(input_size, 1, bias=False)
            self.norm = nn.RMSNorm(hidden_size)
            if gated:
                self.gate = nn.Linear(input_size, hidden_size, bias=False)
                self.decay = nn.Linear(input_size, 1)
                self.log_scale = nn.Parameter(torch.zeros(1))
                # Softplus starts at 0.01, so that a memory first lasts for 100 steps.
                nn.init.constant_(self.decay.bias, -4.6)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns activities [T, B, H] and the last S [B, H, H] for sequences [T, B, I]."""
        x = x.transpose(0, 1)
        q, k, v = F.silu(self.qkv(x)).chunk(3, dim=-1)
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        rate = torch.sigmoid(self.rate(x)).squeeze(-1)
        log_decay = torch.zeros_like(rate)
        if self.gated:
            log_decay = -self.log_scale.exp() * F.softplus(self.decay(x)).squeeze(-1)
        memory = x.new_zeros(len(x), k.shape[-1], v.shape[-1]) if state is None else state
        output, memory = gated_delta(q, k, v, rate, log_decay=log_decay, memory=memory)
        y = self.norm(output)
        if self.gated:
            y = y * F.silu(self.gate(x))
        return y.transpose(0, 1), memory
