"""The compiled sequence against the same equations in torch operations, values and gradients."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from plastorch.stp import Dynamics, Parameters, STPNState, layout, sequence, unroll
from plastorch.stp.sequence import run_sequence

STEPS, BATCH, INPUTS, HIDDEN = 7, 3, 4, 3
SETTINGS = [
    Dynamics(
        recurrent=recurrent,
        norm=norm,  # type: ignore[arg-type]
        clamp=clamp,
        presynaptic=presynaptic,  # type: ignore[arg-type]
        plastic=plastic,  # type: ignore[arg-type]
        activation=activation,  # type: ignore[arg-type]
    )
    for recurrent, norm, clamp, presynaptic, plastic, activation in itertools.product(
        (True, False),
        ("pre", "post", "efficacy", "none"),
        (float("inf"), 0.3),
        ("previous", "current"),
        ("all", "input", "hidden"),
        ("tanh", "sigmoid", "relu", "identity"),
    )
    # Left out: what doesn't exist, and what grows without bound.
    if (recurrent or plastic != "hidden")
    and (activation in ("tanh", "sigmoid") or norm != "none" or clamp < 1)
]


def make(
    dynamics: Dynamics, dtype: torch.dtype = torch.float64, batch: int = BATCH
) -> list[Tensor]:
    """x, h, F, W, b, Λ, Γ, all with gradients."""
    random = torch.Generator().manual_seed(0)
    width = INPUTS + HIDDEN if dynamics.recurrent else INPUTS
    plastic = len(range(width)[dynamics.columns(INPUTS, width)])
    scales = {
        (STEPS, batch, INPUTS): 1.0,
        (batch, HIDDEN): 0.5,
        (batch, HIDDEN, plastic): 0.3,
    }
    tensors = [s * torch.randn(shape, generator=random, dtype=dtype) for shape, s in scales.items()]
    tensors.append(0.5 * torch.randn(HIDDEN, width, generator=random, dtype=dtype))
    tensors.append(0.3 * torch.randn(HIDDEN, generator=random, dtype=dtype))
    tensors.append(torch.rand(HIDDEN, plastic, generator=random, dtype=dtype))
    tensors.append(0.4 * torch.randn(HIDDEN, plastic, generator=random, dtype=dtype))
    return [tensor.requires_grad_() for tensor in tensors]


def outcome(way, tensors: list[Tensor], dynamics: Dynamics, lengths: Tensor | None) -> list[Tensor]:  # type: ignore[no-untyped-def]
    """Output, last state, and the gradients of all tensors of a random loss on them."""
    x, h, memory, *parameters = tensors
    output, state = way(x, STPNState(h, memory), Parameters(*parameters), dynamics, lengths)
    random = torch.Generator().manual_seed(1)
    loss = sum(
        (torch.randn(t.shape, generator=random, dtype=torch.float64) * t).sum()
        for t in (output, *state)
    )
    assert isinstance(loss, Tensor)
    gradients = torch.autograd.grad(loss, tensors, materialize_grads=True)
    return [output, *state, *gradients]


@pytest.mark.parametrize("part", range(8))
def test_compiled_equals_torch(part: int) -> None:
    """For every setting; in eight parts, to run side by side."""
    lengths = torch.tensor([STEPS, 3, 5])
    for dynamics in SETTINGS[part::8]:
        tensors = make(dynamics)
        found, expected = (
            outcome(way, tensors, dynamics, lengths) for way in (run_sequence, unroll)
        )
        for actual, wanted in zip(found, expected, strict=True):
            torch.testing.assert_close(
                actual, wanted, rtol=1e-10, atol=1e-10, msg=lambda m, d=dynamics: f"{d}: {m}"
            )


@pytest.mark.parametrize("scratch", [1, 10**9])
def test_blocks_of_any_size_give_the_same(scratch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = make(Dynamics())
    expected = outcome(unroll, tensors, Dynamics(), None)
    monkeypatch.setattr(layout, "SCRATCH_BYTES", scratch)
    for actual, wanted in zip(
        outcome(run_sequence, tensors, Dynamics(), None), expected, strict=True
    ):
        torch.testing.assert_close(actual, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dynamics", [Dynamics(), Dynamics(norm="post", presynaptic="current")])
def test_any_number_of_threads_gives_the_same_bits(
    dynamics: Dynamics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever thread ends first."""
    tensors = make(dynamics, batch=160)
    expected = outcome(run_sequence, tensors, dynamics, None)
    monkeypatch.setattr(sequence, "WORK_PER_THREAD", 1)
    for threads in [1, 2, 3] + 10 * [4] + 30 * [8]:
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        found = outcome(run_sequence, tensors, dynamics, None)
        assert all(torch.equal(one, two) for one, two in zip(found, expected, strict=True))


def test_first_and_second_derivatives_are_right() -> None:
    tensors = make(Dynamics())

    def run(*leaves: Tensor) -> tuple[Tensor, ...]:
        x, h, memory, *parameters = leaves
        output, state = run_sequence(
            x[:2, :2], STPNState(h[:2], memory[:2]), Parameters(*parameters), Dynamics()
        )
        return output, *state

    assert torch.autograd.gradcheck(run, tensors)
    assert torch.autograd.gradgradcheck(run, tensors)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_narrow_types_are_computed_in_single_precision(dtype: torch.dtype) -> None:
    exact = outcome(run_sequence, make(Dynamics()), Dynamics(), None)
    tensors = [tensor.detach().to(dtype).requires_grad_() for tensor in make(Dynamics())]
    found = outcome(run_sequence, tensors, Dynamics(), None)
    tolerance = 1e-4 if dtype == torch.float32 else 0.1
    for actual, wanted in zip(found, exact, strict=True):
        assert actual.dtype == dtype
        assert (actual.double() - wanted).norm() <= tolerance * wanted.norm()


@pytest.mark.single_precision
def test_backward_keeps_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most a quarter of what autograd keeps of the plain loop, for 128 neurons."""
    steps, batch, inputs, hidden = 20, 8, 37, 128
    tensors = [
        torch.randn(shape, requires_grad=True)
        for shape in (
            (steps, batch, inputs),
            (batch, hidden),
            (batch, hidden, inputs + hidden),
            (hidden, inputs + hidden),
            (hidden,),
            (hidden, inputs + hidden),
            (hidden, inputs + hidden),
        )
    ]
    x, h, memory, *parameters = tensors
    kept = []
    for way in (run_sequence, unroll):
        sizes: dict[int, int] = {}

        def pack(tensor: Tensor, sizes: dict[int, int] = sizes) -> Tensor:
            storage = tensor.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            outputs = way(x, STPNState(h, memory), Parameters(*parameters), Dynamics())
        kept.append(sum(sizes.values()))
        del outputs
    assert kept[0] <= kept[1] / 4


def test_without_gradients_no_memory_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    forward, blocks = sequence._forward, []

    def watched(*arguments: Any) -> Any:
        results = forward(*arguments)
        blocks.append(len(results[-1]))
        return results

    monkeypatch.setattr(sequence, "_forward", watched)
    monkeypatch.setattr(sequence, "block_of", lambda steps, synapses: 2)
    tensors = make(Dynamics())
    x, h, memory, *parameters = tensors
    run_sequence(x, STPNState(h, memory), Parameters(*parameters), Dynamics())
    with torch.no_grad():
        run_sequence(x, STPNState(h, memory), Parameters(*parameters), Dynamics())
    assert blocks == [-(-len(x) // 2) - 1, 0] and blocks[0] > 0  # the first one is an argument


@pytest.mark.parametrize("block", [1, 3, 100])
@pytest.mark.parametrize("used", ["output", "memory", "both"])
@pytest.mark.parametrize("given", [True, False])
def test_gradients_of_memories_are_computed_where_they_are_needed(
    block: int, used: str, given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the last memory has a gradient, and the first one needs one."""
    monkeypatch.setattr(sequence, "block_of", lambda steps, synapses: block)
    x, h, memory, *parameters = make(Dynamics())
    memory = memory.detach().requires_grad_(given)
    found = []
    for way in (run_sequence, unroll):
        output, last = way(x, STPNState(h, memory), Parameters(*parameters), Dynamics())
        parts = {"output": [output], "memory": [last.F], "both": [output, last.F]}[used]
        loss = torch.stack([part.square().sum() for part in parts]).sum()
        wanted = [x, h, *([memory] if given else []), *parameters]
        found.append(torch.autograd.grad(loss, wanted))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.single_precision
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("norm", ["pre", "post", "efficacy", "none"])
@pytest.mark.parametrize("scale", [0.0, 1e-30, 1.0, 1e10, 3e38])
def test_never_a_nan(dtype: torch.dtype, norm: str, scale: float) -> None:
    """10,000 steps; zero weights beside zero inputs, so that a norm of zero occurs."""
    dynamics = Dynamics(norm=norm)  # type: ignore[arg-type]
    tensors = [tensor.detach().to(dtype).requires_grad_() for tensor in make(dynamics)]
    _, _, _, weight, bias, decay, rate = tensors
    if scale == 0:
        weight = torch.zeros_like(weight).requires_grad_()
    random = torch.Generator().manual_seed(2)
    x = torch.randn(10_000, 1, INPUTS, generator=random).clamp(-1, 1) * scale
    x = x.to(dtype).requires_grad_()
    state = STPNState(
        torch.zeros(1, HIDDEN, dtype=dtype), torch.zeros(1, *decay.shape, dtype=dtype)
    )
    output, last = run_sequence(x, state, Parameters(weight, bias, decay, rate), dynamics)
    (output.float().sum() + last.F.float().sum()).backward()
    for tensor in (output, *last, *(leaf.grad for leaf in (x, weight, bias, decay, rate))):
        assert tensor is not None and not tensor.isnan().any()
