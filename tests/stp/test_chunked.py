"""Sequences with one Λ and Γ in chunks of steps, against the step form in torch operations."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from plastorch.stp import (
    STPN,
    Dynamics,
    Parameters,
    STPNCell,
    STPNState,
    chunked,
    sequence,
    unroll,
)
from plastorch.stp.cell import Plasticity
from plastorch.stp.sequence import run_sequence

INPUTS, HIDDEN = 9, 5
FORMS = [
    Dynamics(),
    Dynamics(norm="efficacy", activation="sigmoid"),
    Dynamics(norm="none"),
    Dynamics(recurrent=False, activation="relu"),
    Dynamics(recurrent=False, norm="none", activation="identity", plastic="input"),
]


def make(
    dynamics: Dynamics,
    hidden: int = HIDDEN,
    steps: int = 37,
    batch: int = 5,
    decay: float = 0.9,
    rate: float = 0.05,
    dtype: torch.dtype = torch.float64,
) -> list[Tensor]:
    """x, h, F, W, b, λ, γ, all with gradients."""
    random = torch.Generator().manual_seed(0)
    width = INPUTS + hidden if dynamics.recurrent else INPUTS
    shapes = {
        (steps, batch, INPUTS): 1.0,
        (batch, hidden): 0.5,
        (batch, hidden, width): 0.1,
        (hidden, width): 0.5,
        (hidden,): 0.3,
    }
    tensors = [s * torch.randn(shape, generator=random, dtype=dtype) for shape, s in shapes.items()]
    tensors += [torch.full((1,), number, dtype=dtype) for number in (decay, rate)]
    return [tensor.requires_grad_() for tensor in tensors]


def outcome(
    way, tensors: Sequence[Tensor], dynamics: Dynamics, lengths: Tensor | None = None
) -> list[Tensor]:  # type: ignore[no-untyped-def]
    """Output, last state, and the gradients of all tensors of a random loss on them."""
    x, h, memory, *parameters = tensors
    output, state = way(x, STPNState(h, memory), Parameters(*parameters), dynamics, lengths)
    random = torch.Generator().manual_seed(1)
    loss = torch.stack(
        [
            (torch.randn(part.shape, generator=random, dtype=torch.float64) * part).sum()
            for part in (output, *state)
        ]
    ).sum()
    return [output, *state, *torch.autograd.grad(loss, tensors, materialize_grads=True)]


@pytest.fixture
def forms(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the passes that ran, in order."""
    ran: list[str] = []

    def watch(module, name: str) -> None:  # type: ignore[no-untyped-def]
        function = getattr(module, name)

        def watched(*arguments, **named):  # type: ignore[no-untyped-def]
            ran.append(f"{module.__name__.rpartition('.')[2]}.{name}")
            return function(*arguments, **named)

        monkeypatch.setattr(module, name, watched)

    for name in ("_forward", "_backward"):
        watch(sequence, name)
        watch(chunked, name[1:])
    return ran


CHUNKED = ["chunked.forward", "chunked.backward"]
STEPS = ["sequence._forward", "sequence._backward"]


@pytest.mark.parametrize("dynamics", FORMS)
def test_chunks_equal_steps(dynamics: Dynamics, forms: list[str]) -> None:
    """With lengths that no chunk divides, and samples that end before others begin a chunk."""
    tensors, lengths = make(dynamics), torch.tensor([37, 16, 33, 1, 17])
    found = outcome(run_sequence, tensors, dynamics, lengths)
    assert forms == CHUNKED
    for actual, wanted in zip(found, outcome(unroll, tensors, dynamics, lengths), strict=True):
        torch.testing.assert_close(actual, wanted, rtol=1e-9, atol=1e-11)


def test_chunks_equal_steps_in_wide_layers(forms: list[str]) -> None:
    """With more neurons than registers hold at a time, and a sample without a neighbor."""
    tensors = make(Dynamics(), hidden=70, batch=3, rate=0.01)
    lengths = torch.tensor([37, 16, 33])
    found = outcome(run_sequence, tensors, Dynamics(), lengths)
    assert forms == CHUNKED
    for actual, wanted in zip(found, outcome(unroll, tensors, Dynamics(), lengths), strict=True):
        torch.testing.assert_close(actual, wanted, rtol=1e-9, atol=1e-11)


def test_blocks_of_chunks_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = make(Dynamics(), steps=100, batch=1)
    expected = outcome(unroll, tensors, Dynamics())
    for scratch in (1, 10**9):
        monkeypatch.setattr(chunked, "SCRATCH_BYTES", scratch)
        for actual, wanted in zip(
            outcome(run_sequence, tensors, Dynamics()), expected, strict=True
        ):
            torch.testing.assert_close(actual, wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("plasticity", ["recurrent", "feedforward"])
def test_single_precision_is_as_exact_as_torch(plasticity: Plasticity, forms: list[str]) -> None:
    """Within 1e-5 of double precision, or where a recurrent unit amplifies rounding, like torch."""
    torch.manual_seed(0)
    layer, x = STPN(37, 128, scalar=True, plasticity=plasticity), torch.randn(33, 2, 37)
    cell = layer.cells[0]
    assert isinstance(cell, STPNCell)
    with torch.no_grad():
        cell.weight_lambda.fill_(0.9)
        cell.weight_gamma.fill_(0.02)
    single = [t.detach().requires_grad_() for t in (x, *cell.initial_state(2), *cell.slow)]  # type: ignore[union-attr]
    double = [tensor.detach().double().requires_grad_() for tensor in single]
    found = outcome(run_sequence, single, cell.dynamics)
    assert forms == CHUNKED
    torchs, exact = (outcome(unroll, tensors, cell.dynamics) for tensors in (single, double))
    worst, of_torch = (
        max(
            (one - wanted).norm() / wanted.norm().clamp_min(1e-30)
            for one, wanted in zip(way, exact, strict=True)
        )
        for way in (found, torchs)
    )
    assert worst <= max(1e-5, 2 * of_torch)


@pytest.mark.parametrize("threads", [2, 8])
def test_any_number_of_threads_gives_the_same_bits(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = make(Dynamics(), batch=40)
    expected = outcome(run_sequence, tensors, Dynamics())
    monkeypatch.setattr(sequence, "WORK_PER_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    found = outcome(run_sequence, tensors, Dynamics())
    assert all(torch.equal(one, two) for one, two in zip(found, expected, strict=True))


def test_first_and_second_derivatives_are_right() -> None:
    tensors = make(Dynamics(), steps=3, batch=1)

    def run(*leaves: Tensor) -> tuple[Tensor, ...]:
        x, h, memory, *parameters = leaves
        output, state = run_sequence(x, STPNState(h, memory), Parameters(*parameters), Dynamics())
        return output, *state

    assert torch.autograd.gradcheck(run, tensors)
    assert torch.autograd.gradgradcheck(run, tensors)


@pytest.mark.parametrize(
    "dynamics",
    [
        Dynamics(norm="post"),
        Dynamics(clamp=0.3),
        Dynamics(presynaptic="current"),
        Dynamics(plastic="hidden"),
        Dynamics(plastic="input"),
    ],
)
def test_other_forms_run_step_by_step(dynamics: Dynamics) -> None:
    assert not chunked.has_form(dynamics, torch.tensor([0.9]), torch.tensor([0.1]))


def test_small_or_different_decays_run_step_by_step() -> None:
    rate = torch.tensor([0.1])
    assert not chunked.has_form(Dynamics(), torch.tensor([0.001]), rate)
    assert not chunked.has_form(Dynamics(), torch.full((3, 3), 0.9), torch.full((3, 3), 0.1))


@pytest.mark.single_precision
def test_numbers_that_must_be_limited_run_step_by_step(forms: list[str]) -> None:
    """Λ above 1 without a norm: F grows until the bound, which the chunked form doesn't know."""
    dynamics = Dynamics(norm="none", activation="identity", recurrent=False)
    tensors = make(dynamics, steps=80, batch=2, decay=3.0, dtype=torch.float32)
    found = outcome(run_sequence, tensors, dynamics)
    assert forms == ["chunked.forward", *STEPS]
    for actual, wanted in zip(found[:3], outcome(unroll, tensors, dynamics)[:3], strict=True):
        assert (actual.double() - wanted.double()).norm() <= 1e-3 * wanted.double().norm()
    assert all(tensor.isfinite().all() for tensor in found)


@pytest.mark.single_precision
def test_norms_that_cancel_run_step_by_step(forms: list[str]) -> None:
    """F is nearly -W, so that |W|² + 2 W . F + |F|² would lose its digits."""
    tensors = make(Dynamics(), steps=5, batch=1, dtype=torch.float32)
    with torch.no_grad():
        tensors[2].copy_(-tensors[3] * 1.001)
    found = outcome(run_sequence, tensors, Dynamics())
    assert forms == ["chunked.forward", *STEPS]
    assert all(tensor.isfinite().all() for tensor in found)


@pytest.mark.single_precision
def test_gradients_that_must_be_limited_run_step_by_step(forms: list[str]) -> None:
    """F stays small, but its gradient grows beyond the bound."""
    dynamics = Dynamics(norm="none", activation="identity", recurrent=False)
    tensors = make(dynamics, steps=60, batch=1, decay=4.0, rate=0.0, dtype=torch.float32)
    with torch.no_grad():
        tensors[2].zero_()
    found = outcome(run_sequence, tensors, dynamics)
    assert forms == [*CHUNKED, *STEPS]
    assert all(tensor.isfinite().all() for tensor in found)
