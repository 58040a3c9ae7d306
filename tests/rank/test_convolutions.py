"""Causal convolutions against torch's own, and reading in parts."""

from typing import Any
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from plastorch.engine.errors import InputError
from plastorch.rank import RankCoder, convolution_pass
from plastorch.rank.committee import Committee
from plastorch.rank.convolutions import CausalConvolutions, ConvolutionState, Pools


def series(steps: int = 20) -> torch.Tensor:
    return torch.randn(steps, 3, 2, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("normalized", [True, False])
def test_activities_are_means_and_maxima_so_far(normalized: bool) -> None:
    torch.manual_seed(0)
    core, x = CausalConvolutions(2, 4, layers=3, normalized=normalized).eval(), series()
    values, layers = x.permute(1, 2, 0), []
    for place, layer in enumerate(core.convolutions):
        assert isinstance(layer, nn.Conv1d)
        padded = F.pad(values, (4 * 2**place, 0))
        new = F.conv1d(padded, layer.weight, layer.bias, dilation=2**place)
        mean, variance = new.mean(dim=1, keepdim=True), new.var(dim=1, keepdim=True, correction=0)
        new = ((new - mean) / (variance + 1e-5).sqrt() if normalized else new).relu()
        values = new + values if place else new
        layers.append(values)
    features = torch.cat(layers, dim=1)
    for step in (0, 1, 7, 19):
        part = features[:, :, : step + 1]
        expected = torch.cat([part.mean(dim=2), part.amax(dim=2)], dim=1)
        torch.testing.assert_close(core(x)[0][step], expected)


def some_state(core: CausalConvolutions, x: Tensor) -> ConvolutionState:
    """A state of three steps, of which many sums and maxima are equal to what follows."""
    start = core._start(x)
    random = torch.Generator().manual_seed(2)

    def drawn(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=random).to(like).requires_grad_()

    pools = Pools(drawn(start.pools.total), drawn(start.pools.most), start.pools.steps + 3)
    return ConvolutionState(tuple(map(drawn, start.last)), pools)


def results(
    core: CausalConvolutions, x: Tensor, state: ConvolutionState, compiled: bool
) -> list[Tensor]:
    """Activities, next state, and the gradients by all that went in."""
    run = core._compiled if compiled else core._in_torch
    activity, after = run(x, state)
    outputs = [activity, *after.last, after.pools.total, after.pools.most]
    random = torch.Generator().manual_seed(1)
    loss = sum((torch.randn(o.shape, generator=random).to(o) * o).sum() for o in outputs)
    inputs = [x, *state.last, *state.pools[:2], *core.parameters()]
    return [*outputs, after.pools.steps, *torch.autograd.grad(loss, inputs)]


@given(
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 3), st.integers(1, 3)),
    features=st.integers(2, 20),
    layers=st.integers(1, 3),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    normalized=st.booleans(),
    few=st.sampled_from([0, convolution_pass.FEW]),
)
def test_the_compiled_pass_is_that_of_torch(
    sizes: tuple[int, int, int],
    features: int,
    layers: int,
    dtype: torch.dtype,
    normalized: bool,
    few: int,
) -> None:
    torch.manual_seed(0)
    core = CausalConvolutions(
        sizes[2], features, layers=layers, kernel=3, dropout=0.0, normalized=normalized
    ).to(dtype)
    for parameter in core.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(sizes, dtype=dtype, requires_grad=True)
    state = some_state(core, x)
    with patch.object(convolution_pass, "FEW", few):
        ours, theirs = (results(core, x, state, compiled) for compiled in (True, False))
    tolerance = 1e-6 if dtype == torch.float64 else 2e-2  # small variances magnify rounding
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("normalized", [True, False])
def test_gradients_know_what_was_left_out(normalized: bool) -> None:
    torch.manual_seed(0)
    core = CausalConvolutions(2, 3, layers=2, kernel=2, dropout=0.4, normalized=normalized).double()
    x = torch.randn(4, 2, 2, dtype=torch.float64, requires_grad=True)
    names, parameters = zip(*core.named_parameters(), strict=True)

    def activity(x: Tensor, *parameters: Tensor) -> Tensor:
        torch.manual_seed(1)
        found = torch.func.functional_call(core, dict(zip(names, parameters, strict=True)), (x,))
        assert isinstance(found[0], Tensor)
        return found[0]

    assert torch.autograd.gradcheck(activity, (x, *parameters))


@pytest.mark.parametrize("normalized", [True, False])
def test_the_share_of_features_left_out(normalized: bool) -> None:
    """Another one for each seed, and the rest is larger for it."""
    core = CausalConvolutions(1, 20, layers=1, dropout=0.25, normalized=normalized)
    for parameter in core.convolutions.parameters():
        nn.init.constant_(parameter, 0.0 if normalized else 1 / 6)
    if normalized:
        nn.init.ones_(core.norms[0].bias)  # type: ignore[arg-type]
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(core(torch.ones(1, 500, 1))[0][0, :, :20].detach())
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
    kept = found[0] > 0
    torch.testing.assert_close(
        found[0][kept].unique() * 0.75, torch.tensor([1.0 if normalized else 1 / 3])
    )
    assert float(kept.float().mean()) == pytest.approx(0.75, abs=0.015)
    assert bool(((kept.float().mean(dim=0) - 0.75).abs() < 0.08).all())


def test_any_number_of_threads_leaves_out_the_same() -> None:
    torch.manual_seed(0)
    core, x = CausalConvolutions(2, 32, layers=2), torch.randn(60, 40, 2)
    found, threads = [], torch.get_num_threads()
    for number in (1, 3):
        torch.set_num_threads(number)
        torch.manual_seed(0)
        activity = core(x)[0]
        gradients = torch.autograd.grad(activity.square().mean(), list(core.parameters()))
        found.append([activity, *gradients])
    torch.set_num_threads(threads)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_what_is_not_finite_stays_so() -> None:
    """So that a training that diverges can say so by its loss."""
    core, x = CausalConvolutions(2, 4, layers=2).eval(), series().clone()
    x[5, 1, 0] = torch.nan
    activity = core(x)[0]
    assert bool(activity[5, 1].isnan().any())
    assert bool(activity[:5].isfinite().all()) and bool(activity[:, 0].isfinite().all())


def test_tensors_that_do_not_fit() -> None:
    core, x = CausalConvolutions(2, 4, layers=2), series()
    state = core(x)[1]
    with pytest.raises(InputError, match=r"state.last\[0\] is \[3, 4, 2\] .* expected \[2, 4, 2\]"):
        core(x[:, :2], state)
    pools = state.pools._replace(most=state.pools.most.double())
    with pytest.raises(InputError, match=r"state.pools.most is .* torch.float64 .* torch.float32"):
        core(x, state._replace(pools=pools))
    with pytest.raises(InputError, match=r"state.pools.steps is \[1, 1\]"):
        core(x, state._replace(pools=state.pools._replace(steps=torch.ones(1, 1))))
    with pytest.raises(InputError, match=r"x is \[0, 3, 2\] .* at least one step"):
        core(x[:0])


@pytest.mark.parametrize("cores", ["convolutions", "gru", "lstm"])
def test_parts_give_what_the_whole_gives(cores: str) -> None:
    """For a committee as well, of which some samples leave in between."""
    torch.manual_seed(0)
    kinds = {"gru": nn.GRU, "lstm": nn.LSTM}
    members = [
        RankCoder(
            core := (
                CausalConvolutions(2, 4, layers=3)
                if cores == "convolutions"
                else kinds[cores](2, 5)
            ),
            nn.Linear(int(core.hidden_size), 3),
        )
        for _ in range(2)
    ]
    coder, x = RankCoder(Committee(members), nn.Identity(), threshold=1.0, chunk=4).eval(), series()
    lengths = torch.tensor([3, 20, 9])
    whole, decision = coder.all_steps(x), coder(x, lengths)
    torch.testing.assert_close(decision.logits, whole[lengths - 1, torch.arange(3)])
    chances = [member.all_steps(x).softmax(dim=2) for member in members]
    mean = (chances[0] * chances[1]).sqrt()
    torch.testing.assert_close(whole.exp(), mean / mean.sum(dim=2, keepdim=True))


def test_inputs_as_wide_as_the_features_are_not_added() -> None:
    core = CausalConvolutions(4, 4, layers=2).eval()
    layer = core.convolutions[0]
    assert isinstance(layer, nn.Conv1d) and layer.bias is not None
    nn.init.zeros_(layer.weight)
    nn.init.constant_(layer.bias, -1.0)
    assert not bool(core(torch.ones(5, 1, 4))[0][:, :, :4].any())


def test_parameters_come_from_a_generator_as_from_torch() -> None:
    torch.manual_seed(3)
    plain = CausalConvolutions(2, 4, layers=2)
    drawn = CausalConvolutions(2, 4, layers=2, generator=torch.Generator().manual_seed(3))
    for one, other in zip(plain.parameters(), drawn.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    assert next(CausalConvolutions(2, 4, dtype=torch.float64).parameters()).dtype == torch.float64


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"channels": 1}, "channels is 1; expected 2 or more"),
        ({"layers": 0}, "layers is 0"),
        ({"kernel": 0}, "kernel is 0"),
        ({"dropout": 1.0}, "dropout is 1.0; expected 0 or more, below 1"),
    ],
)
def test_bad_settings(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        CausalConvolutions(3, **{"channels": 4} | settings)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_counts_many_steps(dtype: torch.dtype) -> None:
    core = CausalConvolutions(1, 2, layers=1, kernel=1, normalized=False).eval()
    state: ConvolutionState | None = None
    for parameter in core.parameters():
        nn.init.constant_(parameter, 0.5)
    core.to(dtype)
    for part in torch.ones(2100, 1, 1, dtype=dtype).split(1):
        activity, state = core(part, state)
    torch.testing.assert_close(activity[0], torch.ones(1, 4, dtype=dtype))
    assert state is not None and state.pools.steps.tolist() == [[2100]]
