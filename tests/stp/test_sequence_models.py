"""Sequence models that STPN is compared with, each against a naive loop over its equations."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.stp import STPN
from plastorch.stp.baselines import (
    GRU,
    LSTM,
    DeltaNet,
    FactoredSTPN,
    GatedLinearAttention,
    LinearAttention,
    SoftmaxAttention,
)

INPUTS, SIZE, STEPS, BATCH = 5, 4, 37, 3


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def softmax_attention(core: Any, x: Tensor) -> Tensor:
    outputs, keys, values = [], [], []
    for x_t in x:
        q, k, v = core.qkv(x_t).split(SIZE, -1)
        keys.append(k)
        values.append(v)
        scores = torch.stack([(q * each).sum(-1) / SIZE**0.5 for each in keys])
        weights = scores.exp() / scores.exp().sum(0)
        outputs.append(torch.einsum("sb,sbv->bv", weights, torch.stack(values)))
    return torch.stack(outputs)


def linear_attention(core: Any, x: Tensor) -> Tensor:
    S, z = x.new_zeros(BATCH, SIZE, SIZE), x.new_zeros(BATCH, SIZE)
    outputs = []
    for x_t in x:
        q, k, v = core.qkv(x_t).split(SIZE, -1)
        q, k = (torch.where(part > 0, part + 1, part.exp()) for part in (q, k))
        S = S + k[:, :, None] * v[:, None, :]
        z = z + k
        outputs.append(torch.einsum("bkv,bk->bv", S, q) / ((z * q).sum(-1, keepdim=True) + 1e-6))
    return torch.stack(outputs)


def gated_linear_attention(core: Any, x: Tensor) -> Tensor:
    S, outputs = x.new_zeros(BATCH, SIZE, SIZE), []
    for x_t in x:
        q, k, v, gate = core.qkvg(x_t).split(SIZE, -1)
        decay = torch.sigmoid(core.decay(x_t)) ** (1 / 16)
        S = decay[:, :, None] * S + k[:, :, None] * v[:, None, :]
        o = core.norm(torch.einsum("bkv,bk->bv", S, q) / SIZE**0.5)
        outputs.append(o * gate * torch.sigmoid(gate))
    return torch.stack(outputs)


def delta_net(core: Any, x: Tensor) -> Tensor:
    S, outputs = x.new_zeros(BATCH, SIZE, SIZE), []
    for x_t in x:
        q, k, v = F.silu(core.qkv(x_t)).chunk(3, -1)
        q, k = q / q.norm(dim=-1, keepdim=True), k / k.norm(dim=-1, keepdim=True)
        rate = torch.sigmoid(core.rate(x_t))[:, :, None]
        if core.gated:
            kept = core.log_scale.exp() * torch.log1p(core.decay(x_t).exp())
            S = (-kept).exp()[:, :, None] * S
        old = torch.einsum("bkv,bk->bv", S, k)
        S = S + rate * k[:, :, None] * (v - old)[:, None, :]
        o = torch.einsum("bkv,bk->bv", S, q)
        o = o / (o.square().mean(-1, keepdim=True) + torch.finfo(o.dtype).eps).sqrt()
        o = o * core.norm.weight
        outputs.append(o * F.silu(core.gate(x_t)) if core.gated else o)
    return torch.stack(outputs)


MODELS: list[tuple[Callable[[], nn.Module], Callable[[Any, Tensor], Tensor]]] = [
    (lambda: SoftmaxAttention(INPUTS, SIZE), softmax_attention),
    (lambda: LinearAttention(INPUTS, SIZE), linear_attention),
    (lambda: GatedLinearAttention(INPUTS, SIZE), gated_linear_attention),
    (lambda: DeltaNet(INPUTS, SIZE), delta_net),
    (lambda: DeltaNet(INPUTS, SIZE, gated=True), delta_net),
]
NAMES = ["softmax", "linear", "gated-linear", "delta", "gated-delta"]


def varied(core: nn.Module) -> nn.Module:
    """Moves all parameters, so that gains and scales matter."""
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.5)
    return core.double()


@pytest.mark.parametrize(("make", "naive"), MODELS, ids=NAMES)
def test_all_steps_at_once_are_the_loop(
    make: Callable[[], nn.Module], naive: Callable[[Any, Tensor], Tensor]
) -> None:
    """Outputs and gradients, over more steps than a chunk has."""
    core = varied(make())
    x = torch.randn(STEPS, BATCH, INPUTS, dtype=torch.float64, requires_grad=True)
    found, expected = core(x)[0], naive(core, x)
    assert torch.allclose(found, expected, atol=1e-10)
    mask = torch.randn_like(found)
    wanted = [x, *core.parameters()]
    gradients = (torch.autograd.grad((mask * out).sum(), wanted) for out in (found, expected))
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-8)


@pytest.mark.parametrize(
    "make",
    [*(make for make, _ in MODELS), lambda: LSTM(INPUTS, SIZE), lambda: GRU(INPUTS, SIZE)],
    ids=[*NAMES, "lstm", "gru"],
)
def test_a_sequence_in_parts_is_the_whole(make: Callable[[], nn.Module]) -> None:
    """The state that is returned is all that a model needs to go on, also step by step."""
    core = varied(make())
    x = torch.randn(STEPS, BATCH, INPUTS, dtype=torch.float64)
    whole, last = core(x)
    state: Any = None
    outputs = []
    for part in (x[:1], x[1:2], x[2:3], x[3:20], x[20:]):
        output, state = core(part, state)
        outputs.append(output)
    assert torch.allclose(torch.cat(outputs), whole, atol=1e-10)
    one, other = ((of,) if isinstance(of, Tensor) else of for of in (last, state))
    assert all(torch.allclose(a, b, atol=1e-10) for a, b in zip(one, other, strict=True))


def test_weights_that_round_to_zero_stay_finite() -> None:
    core = LinearAttention(INPUTS, SIZE)
    nn.init.constant_(core.qkv.weight, -100)
    core(torch.ones(STEPS, BATCH, INPUTS))[0].sum().backward()
    assert core.qkv.weight.grad is not None and core.qkv.weight.grad.isfinite().all()


def test_strong_decay_stays_finite() -> None:
    """Decay over a sequence is far below the smallest float32."""
    cores: list[Any] = [
        GatedLinearAttention(INPUTS, SIZE),
        DeltaNet(INPUTS, SIZE, gated=True),
    ]
    for core in cores:
        gated = isinstance(core, DeltaNet)
        last = core.decay if gated else core.decay[-1]
        nn.init.constant_(last.bias, 500 if gated else -500)
        x = torch.randn(200, BATCH, INPUTS)
        core(x)[0].sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in core.parameters())


def test_factored_constants_are_products_of_rows_and_columns() -> None:
    core, plain = FactoredSTPN(INPUTS, SIZE), STPN(INPUTS, SIZE)
    cell: Any = core.cells[0]
    assert cell.slow.weight_lambda.min() >= 0 and cell.slow.weight_lambda.max() <= 1
    assert cell.slow.weight_gamma.abs().max() <= 0.001 / SIZE**0.5
    with torch.no_grad():
        cell.gamma_row.copy_(torch.randn(SIZE))
    ours: Any = plain.cells[0]
    with torch.no_grad():
        ours.weight.copy_(cell.weight), ours.bias.copy_(cell.bias)
        ours.weight_lambda.copy_(cell.lambda_row[:, None] * cell.lambda_column[None, :])
        ours.weight_gamma.copy_(cell.gamma_row[:, None] * cell.gamma_column[None, :])
    x = torch.randn(6, BATCH, INPUTS)
    for one, other in zip(core(x)[1], plain(x)[1], strict=True):
        assert torch.allclose(one, other)
    parameters = sum(p.numel() for p in core.parameters())
    width = INPUTS + SIZE
    assert parameters == SIZE * width + SIZE + 2 * (SIZE + width)
