"""The equations, against loops over single numbers, and what must hold for any weights."""

from math import exp, sqrt, tanh

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.stp import Dynamics, Parameters, STPNState, step, unroll
from plastorch.stp.rule import efficacy, oja, saturation

INPUTS, HIDDEN, BATCH = 3, 2, 2
ACTIVATIONS = {
    "tanh": tanh,
    "sigmoid": lambda u: 1 / (1 + exp(-u)),
    "relu": lambda u: max(u, 0.0),
    "identity": lambda u: u,
}


def make(dynamics: Dynamics, seed: int = 0) -> tuple[Tensor, STPNState, Parameters]:
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64)

    width = INPUTS + HIDDEN if dynamics.recurrent else INPUTS
    plastic = len(range(width)[dynamics.columns(INPUTS, width)])
    parameters = Parameters(
        draw(HIDDEN, width), draw(HIDDEN), draw(HIDDEN, plastic), draw(HIDDEN, plastic)
    )
    state = STPNState(draw(BATCH, HIDDEN), draw(BATCH, HIDDEN, plastic))
    return draw(BATCH, INPUTS), state, parameters


def naive(x: Tensor, state: STPNState, parameters: Parameters, unit: Dynamics) -> STPNState:
    """One step of one sample after the other, number by number."""
    weight, bias, decay, rate = (t.tolist() for t in parameters if t is not None)
    first = INPUTS if unit.plastic == "hidden" else 0
    width = state.F.shape[-1]

    def total(i: int, memory: list[list[float]]) -> list[float]:
        row = list(weight[i])
        for j in range(width):
            row[first + j] += memory[i][j]
        return row

    activities, memories = [], []
    for inputs, before, memory in zip(*(t.tolist() for t in (x, *state)), strict=True):
        z = inputs + before if unit.recurrent else inputs
        norms = [sqrt(sum(g * g for g in total(i, memory))) for i in range(HIDDEN)]
        h = []
        for i in range(HIDDEN):
            u = sum(g * s for g, s in zip(total(i, memory), z, strict=True))
            u = u if unit.norm == "none" else u / norms[i]
            h.append(ACTIVATIONS[unit.activation](u + bias[i]))
        after = inputs + h if unit.recurrent and unit.presynaptic == "current" else z
        new = [[0.0] * width for _ in range(HIDDEN)]
        for i in range(HIDDEN):
            for j in range(width):
                kept = memory[i][j] / norms[i] if unit.norm == "pre" else memory[i][j]
                value = decay[i][j] * kept + rate[i][j] * h[i] * after[first + j]
                new[i][j] = min(max(value, -unit.clamp), unit.clamp)
        if unit.norm == "post":
            sizes = [sqrt(sum(g * g for g in total(i, new))) for i in range(HIDDEN)]
            new = [[f / size for f in row] for row, size in zip(new, sizes, strict=True)]
        activities.append(h)
        memories.append(new)
    return STPNState(*(torch.tensor(t, dtype=torch.float64) for t in (activities, memories)))


@pytest.mark.parametrize("norm", ["pre", "post", "efficacy", "none"])
@pytest.mark.parametrize("plastic", ["all", "input", "hidden"])
@pytest.mark.parametrize("presynaptic", ["previous", "current"])
@pytest.mark.parametrize("clamp", [float("inf"), 0.5])
def test_step_equals_a_loop_over_numbers(
    norm: str, plastic: str, presynaptic: str, clamp: float
) -> None:
    unit = Dynamics(norm=norm, clamp=clamp, presynaptic=presynaptic, plastic=plastic)  # type: ignore[arg-type]
    x, state, parameters = make(unit)
    torch.testing.assert_close(
        step(x, state, parameters, unit)[0], naive(x, state, parameters, unit)
    )


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("plastic", ["all", "input"])
def test_feedforward_step_equals_a_loop_over_numbers(activation: str, plastic: str) -> None:
    unit = Dynamics(recurrent=False, activation=activation, plastic=plastic)  # type: ignore[arg-type]
    x, state, parameters = make(unit)
    torch.testing.assert_close(
        step(x, state, parameters, unit)[0], naive(x, state, parameters, unit)
    )


def test_oja_equals_its_sum() -> None:
    pre, post, memory = torch.randn(2, 3), torch.randn(2, 4), torch.randn(2, 4, 3)
    for b in range(2):
        for i in range(4):
            for j in range(3):
                backward = sum(float(memory[b, k, j] * post[b, k]) for k in range(4))
                expected = float(post[b, i]) * (float(pre[b, j]) - backward)
                assert float(oja(pre, post, memory)[b, i, j]) == pytest.approx(expected, abs=1e-5)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.floats(0.1, 100))
def test_norm_pre_ignores_the_scale_of_all_synapses(seed: int, factor: float) -> None:
    """(W + F) / |W + F| and F / |W + F| are the same for c W and c F; so is all that follows."""
    unit = Dynamics()
    x, state, parameters = make(unit, seed)
    one, _ = step(x, state, parameters, unit)
    scaled = parameters._replace(weight=factor * parameters.weight)
    other, _ = step(x, state._replace(F=factor * state.F), scaled, unit)
    torch.testing.assert_close(one, other)


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_without_rate_memory_only_decays(seed: int) -> None:
    unit = Dynamics(norm="none")
    x, state, parameters = make(unit, seed)
    parameters = parameters._replace(weight_gamma=torch.zeros(1, dtype=torch.float64))
    after, _ = step(x, state, parameters, unit)
    torch.testing.assert_close(after.F, parameters.weight_lambda * state.F)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from(["pre", "post"]))
def test_a_normalized_neurons_energy_is_bounded_by_its_signals(seed: int, norm: str) -> None:
    """sum |g| z² is at most |g|₂ |z²|₂, and a normalized row has |g|₂ = 1."""
    unit = Dynamics(norm=norm)  # type: ignore[arg-type]
    x, state, parameters = make(unit, seed)
    _, response = step(x, state, parameters, unit)
    energy = (response.efficacy.abs() * response.pre.unsqueeze(1).square()).sum(-1)
    bound = response.pre.square().norm(dim=-1, keepdim=True)
    assert bool((energy <= bound * (1 + 1e-12)).all())


def test_samples_whose_sequence_has_ended_keep_their_state() -> None:
    unit = Dynamics()
    x, state, parameters = make(unit)
    x = torch.stack([x, -x, 2 * x])
    output, last = unroll(x, state, parameters, unit, torch.tensor([1, 3]))
    short, _ = unroll(x[:1, :1], STPNState(state.h[:1], state.F[:1]), parameters, unit)
    assert torch.equal(output[1:, 0], torch.zeros(2, HIDDEN, dtype=torch.float64))
    torch.testing.assert_close(last.h[0], short[0, 0])


def test_efficacy_adds_memory_to_plastic_columns_only() -> None:
    weight, memory = torch.zeros(2, 5), torch.ones(1, 2, 2)
    assert efficacy(weight, memory, slice(3, 5)).tolist() == [[[0, 0, 0, 1, 1]] * 2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sums_of_products_of_saturated_numbers_are_finite(dtype: torch.dtype) -> None:
    largest = torch.full((10**6,), saturation(dtype), dtype=dtype)
    assert torch.isfinite(largest @ largest)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"norm": "l2"}, "norm is 'l2'"),
        ({"presynaptic": "old"}, "presynaptic is 'old'"),
        ({"plastic": "some"}, "plastic is 'some'"),
        ({"activation": "gelu"}, "activation is 'gelu'"),
        ({"rule": "bcm"}, "rule is 'bcm'; expected one of hebb, oja"),
        ({"decay": "before"}, "decay is 'before'; expected one of with, after"),
        ({"clamp": 0.0}, "clamp is 0.0"),
        ({"clamp": float("nan")}, "clamp is nan"),
        ({"plastic": "hidden", "recurrent": False}, "feed-forward"),
    ],
)
def test_bad_settings(setting: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Dynamics(**setting)  # type: ignore[arg-type]
